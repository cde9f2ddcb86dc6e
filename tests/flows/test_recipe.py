"""Recipes: read strictly, chosen by name, by data, or remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import InputError, SettingError
from flows import recipe
from flows.recipe import RECIPES, REMEMBERED, choose_recipe, read_recipe
from flows.run import run
from flows.train import config_of
from models.base import find_method


def test_a_shipped_recipe_reads() -> None:
    recipe = read_recipe("ml-100k/lr_recsys")
    assert recipe.data.layout == "movielens-100k"
    assert recipe.method.name == "lr_recsys"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_settings_of_shipped_recipes_fit_their_method(path: Path) -> None:
    section = read_recipe(str(path.relative_to(RECIPES).with_suffix(""))).method
    method = find_method(section.name)
    assert isinstance(config_of(method, section.config, "config"), method.config_type)


@pytest.mark.parametrize("dataset", sorted(path.parent.name for path in RECIPES.glob("*/guided.toml")))
def test_recipes_of_guided_refinement_name_a_domain_and_hold_its_list(dataset: str) -> None:
    section = read_recipe(f"{dataset}/guided").method
    config = config_of(find_method(section.name), section.config, "config")
    assert len(config.model_dump()["attributes"]) >= 8


@pytest.mark.parametrize(
    ("config", "found"),
    [({"depth": 3}, "depth: Extra inputs"), ({"student": {"lora": {"start": "/nowhere"}}}, "/nowhere has no adapter_")],
)
def test_settings_that_do_not_fit_stop_a_run_before_anything_is_paid(
    config: dict[str, object], found: str, own_home: Path
) -> None:
    given = read_recipe("world/explain_rec")
    section = given.method.model_copy(update={"config": config})
    with pytest.raises(SettingError, match=found):
        run.fn(given.model_copy(update={"method": section}))
    assert not (own_home / "lake").exists()


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(SettingError, match="world/demo"):
        read_recipe("no/such")


def test_an_unknown_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "typo.toml"
    file.write_text('[data]\nname = "x"\nlayout = "world"\nlayuot = "world"\n')
    with pytest.raises(SettingError, match="layuot"):
        read_recipe(str(file))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of own tables: two products, one interaction."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "catalog.csv").write_text("product_id,title\np1,Tea\np2,Coffee\n")
    (folder / "interactions.csv").write_text("consumer_id,product_id,timestamp,rating\nc1,p1,1700000000,5\n")
    return folder


def test_without_arguments_the_last_recipe_of_the_home_is_used(tmp_path: Path, shop: Path) -> None:
    first = choose_recipe(tmp_path, "tables/lr_recsys", str(shop), "", "", "")
    assert choose_recipe(tmp_path, "", "", "", "", "") == first
    assert first.data.folder == str(shop)


def test_nothing_given_and_nothing_remembered_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--recipe"):
        choose_recipe(tmp_path, "", "", "", "", "")


def test_interactions_without_a_catalog_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--catalog"):
        choose_recipe(tmp_path, "", "", "events.csv", "", "")


@pytest.mark.parametrize("option", ["catalog", "mapping"])
def test_a_file_alone_is_refused_and_not_left_unread(tmp_path: Path, option: str) -> None:
    choose_recipe(tmp_path, "world/demo", "", "", "", "")
    given = {"catalog": "", "mapping": ""} | {option: str(tmp_path)}
    with pytest.raises(SettingError, match=f"--{option} was given without --interactions"):
        choose_recipe(tmp_path, "", "", "", **given)


def test_a_folder_and_files_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Both --interactions and --data"):
        choose_recipe(tmp_path, "", str(tmp_path), "events.csv", "catalog.csv", "")


def test_a_path_that_is_wrong_is_told_and_not_remembered(tmp_path: Path) -> None:
    first = choose_recipe(tmp_path, "world/demo", "", "", "", "")
    with pytest.raises(InputError, match="nowhere"):
        choose_recipe(tmp_path, "", "", str(tmp_path / "nowhere.csv"), str(tmp_path), "")
    assert choose_recipe(tmp_path, "", "", "", "", "") == first


def test_files_that_cannot_be_used_are_told_and_not_remembered(tmp_path: Path, shop: Path) -> None:
    events = shop / "interactions.csv"
    events.write_text(events.read_text().replace("rating", "points"))
    with pytest.raises(InputError, match="no column for rating"):
        choose_recipe(tmp_path, "", "", str(events), str(shop / "catalog.csv"), "")
    with pytest.raises(InputError, match="no column for rating"):
        choose_recipe(tmp_path, "", str(shop), "", "", "")
    assert not (tmp_path / REMEMBERED).exists()


def test_large_files_are_read_by_the_flow_alone(tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "interactions.csv").write_text("consumer\n")
    monkeypatch.setattr(recipe, "READ_AT_ONCE", 10)
    assert choose_recipe(tmp_path, "", str(shop), "", "", "").data.layout == "tables"


def test_a_recipe_remembered_by_another_version_is_told(tmp_path: Path) -> None:
    (tmp_path / REMEMBERED).write_text('{"data": {"name": "x", "layout": "world", "gone": 1}}')
    with pytest.raises(SettingError, match=r"remembers does not fit: data\.gone"):
        choose_recipe(tmp_path, "", "", "", "", "")
