"""Recommendation methods, one file each; discovered by `models.base.find_method`."""
