"""The command line: `counterpoint run | serve | recommend | ...`."""
