"""Public data sets, your own files and the simulator, each turned into the project's events and items."""
