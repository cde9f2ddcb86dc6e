"""Cards: what a training, a model and its explanations are, stored as JSON and markdown with what they describe."""
