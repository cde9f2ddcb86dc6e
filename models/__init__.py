"""Learning and language: LLM clients, explanations, methods, metrics, artifacts and releases."""
