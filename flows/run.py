"""The whole job in order: ingest, explain, materialize, train, evaluate, release."""

from __future__ import annotations

from prefect import flow

from flows.evaluate import evaluate
from flows.explain import explain
from flows.ingest import ingest
from flows.materialize import materialize
from flows.recipe import Recipe, remembered_recipe
from flows.release import ReleaseResult, release
from flows.train import named_files, train
from flows.workspace import Workspace


@flow(name="run")
def run(recipe: Recipe | None = None) -> ReleaseResult:
    """Runs every stage; each is a flow of its own and returns at once if its inputs have not changed.

    Args:
        recipe: by default the one this home was last run with.

    Raises:
        SettingError: the method's settings do not fit, or a file that they name is not there; nothing is done then.
    """
    workspace = Workspace.open()
    recipe = recipe or remembered_recipe(workspace.settings.home)
    with workspace.alone():
        named_files(recipe)  # settings that do not fit stop the run before a language model is paid
        ingest(recipe)
        explain(recipe)
        materialize(recipe)
        train(recipe)
        evaluate(recipe)
        return release(recipe)
