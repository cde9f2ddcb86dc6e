"""The data of the LR-Recsys benchmark: fixed splits, their texts and controls, and examples to train on."""
