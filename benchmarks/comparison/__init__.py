"""One table of all methods, read from their result files."""
