"""Sequence models of the next product: exchangeable encoders over a tied product table, trained by one loop."""
