"""The methods and their controls on the fixed splits: a row per method, variant, dataset, split and seed."""
