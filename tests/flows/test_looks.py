"""Images that a recipe names become what products look like, by the model that the host names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from features.errors import SettingError
from features.settings import HostSettings
from features.visuals import VisualTable
from flows.ingest import ingest_data, preview
from flows.recipe import DataSection, Recipe
from flows.workspace import Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three products of the built-in world, one of which cannot be read."""
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    for n, name in enumerate(products()[:2]):
        Image.fromarray(np.full((9, 9, 3), 90 * n, np.uint8)).save(images / f"{name}.png")
    (images / f"{products()[2]}.png").write_bytes(b"no image")
    return images


def products() -> list[str]:
    return list(preview(recipe(""))[1].catalog.products["product_id"])


def recipe(images: str) -> Recipe:
    data = DataSection(name="world", layout="world", n_consumers=40, n_products=12, n_interactions=150, images=images)
    return Recipe(data=data)


def workspace_with(model: Path | None) -> Workspace:
    return Workspace.of(replace(HostSettings.from_environment(), image_model=model))


def test_images_are_seen_counted_and_kept_in_the_lake(
    folder: Path, save_clip: Callable[..., Path], tmp_path: Path
) -> None:
    workspace = workspace_with(save_clip(tmp_path / "clip"))
    ingested = ingest_data(workspace, recipe(str(folder)))
    assert (ingested.n_seen, ingested.n_images_missing, ingested.n_images_unreadable) == (2, 9, 1)
    table = VisualTable.of(workspace.lake.read("visuals"))
    assert table is not None
    assert (set(table.product_ids), table.width) == (set(products()[:2]), 12)


def test_other_images_or_another_model_are_other_data(
    folder: Path, save_clip: Callable[..., Path], tmp_path: Path
) -> None:
    from PIL import Image

    workspace = workspace_with(save_clip(tmp_path / "clip"))
    first = ingest_data(workspace, recipe(str(folder)))
    assert ingest_data(workspace, recipe(str(folder))) == first
    Image.fromarray(np.full((9, 9, 3), 200, np.uint8)).save(folder / f"{products()[2]}.png")
    second = ingest_data(workspace, recipe(str(folder)))
    assert second.data_hash != first.data_hash
    third = ingest_data(workspace_with(save_clip(tmp_path / "other", seed=1)), recipe(str(folder)))
    assert third.data_hash != second.data_hash
    assert ingest_data(workspace, recipe("")).n_seen == 0


def test_images_without_a_model_are_an_error(folder: Path) -> None:
    with pytest.raises(SettingError, match="COUNTERPOINT_IMAGE_MODEL"):
        ingest_data(workspace_with(None), recipe(str(folder)))


def test_what_is_large_is_not_read_to_see_that_it_is_the_same(
    folder: Path, save_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage asks for what was ingested; gigabytes of images and weights count by name, size and time."""
    workspace = workspace_with(save_clip(tmp_path / "clip"))
    first = ingest_data(workspace, recipe(str(folder)))
    (folder / f"{products()[0]}.png").touch()
    assert ingest_data(workspace, recipe(str(folder))) == first  # read again, and the same
    opened = Path.open

    def small_alone(path: Path, *how: str, **more: str) -> IO[Any]:
        assert path.suffix not in {".png", ".safetensors"}
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", small_alone)
    monkeypatch.setattr(Path, "read_bytes", lambda path: small_alone(path, "rb").read())
    assert ingest_data(workspace, recipe(str(folder))) == first
