"""Where things run: settings, the local stack, data sets and the `gatesid` command."""
