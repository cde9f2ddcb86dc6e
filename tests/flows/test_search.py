"""Settings are chosen on the validation part alone, for all models under one budget, and a recipe can hold them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.errors import InputError, SettingError
from flows import search as flow
from flows.recipe import MethodSection, read_recipe
from flows.search import search_recipe, with_settings
from flows.train import BASELINE, CONTROL, part_set, variants
from models.spaces import SPACES, Span

pytest.importorskip("optuna")
pytest.importorskip("tomli_w")


@pytest.fixture
def recipe(shop):
    return shop.recipe.model_copy(update={"method": shop.quick})


@pytest.mark.slow
def test_every_model_gets_the_same_budget_and_the_test_part_is_never_read(shop, recipe, monkeypatch, tmp_path) -> None:
    read = []

    def watched(workspace, ingested, part):
        read.append(part)
        return part_set(workspace, ingested, part)

    monkeypatch.setattr(flow, "part_set", watched)
    result = search_recipe(shop.workspace, recipe, trials=3, out=str(tmp_path / "best.toml"))
    assert sorted(set(read)) == ["train", "valid"]
    assert {name: it.trials for name, it in result.searched.items()} == {"lr_recsys": 3, CONTROL: 3, BASELINE: 3}
    for it in result.searched.values():
        assert it.start is not None
        assert it.best <= it.start
    chosen = read_recipe(str(tmp_path / "best.toml"))
    assert result.recipe == (tmp_path / "best.toml").read_text()
    used = {name: config.model_dump() for name, (_, config) in variants(chosen).items()}
    for name, it in result.searched.items():
        assert it.settings.items() <= used[name].items()
        assert used[name].get("epochs", 2) == 2
    assert used[CONTROL]["explanations"] == "none"


@pytest.mark.slow
def test_a_second_search_of_the_same_recipe_trains_nothing(shop, recipe, monkeypatch) -> None:
    first = search_recipe(shop.workspace, recipe, trials=2)
    monkeypatch.setattr(flow, "_objective", lambda *given: pytest.fail)
    assert search_recipe(shop.workspace, recipe, trials=2) == first


@pytest.mark.slow
def test_settings_go_to_the_model_they_were_found_for(recipe) -> None:
    found = {"lr_recsys": {"dropout": 0.5}, CONTROL: {"dropout": 0.1}, BASELINE: {"product_damping": 3.0}}
    chosen = {name: config for name, (_, config) in variants(with_settings(recipe, found)).items()}
    assert (chosen["lr_recsys"].dropout, chosen[CONTROL].dropout) == (0.5, 0.1)
    assert chosen[CONTROL].epochs == chosen["lr_recsys"].epochs == 2
    assert chosen[BASELINE].product_damping == 3.0


def test_without_a_search_of_its_own_the_control_has_the_methods_settings(recipe) -> None:
    chosen = {name: config for name, (_, config) in variants(recipe).items()}
    assert chosen[CONTROL] == chosen["lr_recsys"].model_copy(update={"explanations": "none"})


@pytest.mark.parametrize("section", ["config", "control", "baseline"])
def test_a_setting_that_a_model_lacks_names_its_section(recipe, section: str) -> None:
    wrong = recipe.model_copy(update={"method": MethodSection(**{section: {"dropuot": 1}})})
    with pytest.raises(SettingError, match=re.escape(f"[method.{section}]") + ".*dropuot"):
        variants(wrong)


@pytest.mark.slow
def test_a_recipe_that_cannot_be_written_is_named(shop, recipe, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(SPACES, "lr_recsys", {})
    monkeypatch.setitem(SPACES, "bias", {"product_damping": Span(1.0, 20.0)})
    nowhere = tmp_path / "no" / "best.toml"
    with pytest.raises(InputError, match=re.escape(str(nowhere))):
        search_recipe(shop.workspace, recipe, trials=1, out=str(nowhere))
    assert not Path(nowhere).exists()
