"""Low-rank tuning of a small language model: what is trained, on which rows, and how its decisions are scored."""
