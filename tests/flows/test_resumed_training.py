"""A training stage that is killed goes on from what was learned, and ends in the same models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.recipe import Recipe
from flows.train import CONTROL, half_done, model_folder, read_fit, train_models
from flows.workspace import Workspace

WEIGHTS = "weights.safetensors"


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def recipe(shop):
    always = shop.quick.model_copy(update={"save_minutes": 0.0})
    return shop.recipe.model_copy(update={"method": always})


def learned(workspace: Workspace) -> dict[str, bytes]:
    return {name: (model_folder(workspace, name) / WEIGHTS).read_bytes() for name in ("lr_recsys", CONTROL)}


@pytest.mark.slow
def test_a_killed_stage_ends_in_the_same_models(shop, recipe, monkeypatch) -> None:
    trainings = 0

    def die(what: str, done: int, total: int) -> None:
        nonlocal trainings
        trainings += what == "train lr_recsys"
        if trainings == 3:  # in the control, after the method had its two epochs
            raise Killed

    train_models(shop.workspace, recipe)
    whole = learned(shop.workspace)
    (shop.workspace.settings.home / "stages" / "train.json").unlink()
    with pytest.raises(Killed):
        train_models(replace(shop.workspace, progress=die), recipe)
    kept = shop.workspace.settings.home / "trained" / "half-done"
    assert list(kept.rglob("*.safetensors"))
    monkeypatch.setattr("models.methods.lr_recsys.Collaborative.fit", None)  # what ratings say was kept
    train_models(shop.workspace, recipe)
    assert learned(shop.workspace) == whole
    assert read_fit(shop.workspace, "lr_recsys").epochs == 2
    assert not list(kept.iterdir())


def test_how_often_states_are_written_decides_nothing(recipe: Recipe) -> None:
    seldom = recipe.method.model_copy(update={"save_minutes": 60.0})
    assert seldom.learns() == recipe.method.learns()
    assert recipe.method.model_copy(update={"seed": 5}).learns() != recipe.method.learns()


def test_what_other_inputs_left_half_done_goes(own_home: Path) -> None:
    workspace = Workspace.open()
    before = half_done(workspace, "hash of some inputs")
    before.mkdir(parents=True)
    assert half_done(workspace, "hash of some inputs") == before
    assert before.exists()
    assert half_done(workspace, "hash of others") != before
    assert not before.exists()
