"""Orchestration: each stage of the pipeline as a Prefect flow, and the flow that runs them in order."""
