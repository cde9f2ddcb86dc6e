"""Data contracts: one Great Expectations suite per hand-over."""
