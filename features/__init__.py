"""The vocabulary every other room imports: names, events, time, windows, maturity, SIDs, the model's input spec."""
