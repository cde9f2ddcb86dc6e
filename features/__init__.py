"""Data: types, readers, lake, ledger, feature store and data contracts. No torch, no language model."""
