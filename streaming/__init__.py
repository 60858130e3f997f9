"""The stream: Kafka events to maturity, user histories and SIDs in the online store, and to the lake."""
