"""Readers: raw files in a known layout become validated `Interactions` and `Catalog`."""
