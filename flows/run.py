"""The whole job in order: ingest, explain, materialize, train, evaluate, release."""

from __future__ import annotations

from prefect import flow

from flows.evaluate import evaluate
from flows.explain import explain
from flows.ingest import ingest
from flows.materialize import materialize
from flows.recipe import Recipe
from flows.release import ReleaseResult, release
from flows.train import train


@flow(name="run")
def run(recipe: Recipe) -> ReleaseResult:
    """Runs every stage; each is a flow of its own and returns at once if its inputs have not changed."""
    ingest(recipe)
    explain(recipe)
    materialize(recipe)
    train(recipe)
    evaluate(recipe)
    return release(recipe)
