"""Attributes: what people of a domain choose products by, and how much of each a product has, on a scale of 1 to 10."""
