"""Releases change under load without a mixed answer, and one that is broken never takes over."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import ReleaseError
from features.settings import HostSettings
from models.artifact import FileEntry, Manifest, read_manifest
from models.release import ReleaseStore
from services.explain import Reasons
from services.live import LiveRuntime
from services.runtime import Runtime
from services.schemas import ExplainRequest, RecommendRequest

SWITCHES = 20


class Store:
    """A pointer."""

    def __init__(self) -> None:
        self.live = "r0"

    def live_id(self) -> str:
        return self.live


@pytest.mark.slow
def test_no_answer_mixes_two_releases(features: Any, model: Any, texts: Any, make_runtime: Any, inbox: Any) -> None:
    """The model's score, the text and the id of each release bear the same number; readers ask while it changes."""
    store, stop, mixed, seen = Store(), threading.Event(), list[Any](), set[int]()

    def open_live() -> Runtime:
        live_id = store.live
        number = int(live_id[1:])
        scored = replace(model)
        scored.score = lambda batch: replace(model.score(batch), rating=np.full(len(batch), number, np.float32))
        said = replace(texts, pair_texts=texts.pair_texts.assign(text=f"Text {number}"))
        return make_runtime(features, scored, Reasons(said), inbox, live_id)

    live = LiveRuntime(store, open_live, check_seconds=0.0)  # type: ignore[arg-type]  # the pointer alone is used

    def ask() -> None:
        while not stop.is_set():
            answer = live.current().explain(ExplainRequest(consumer_id="c1", product_id="p2"))
            number = int(answer.release_id[1:])
            seen.add(number)
            if (answer.item.rating, answer.reasons[0].text) != (number, f"Text {number}"):
                mixed.append(answer)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for number in range(SWITCHES):
            store.live = f"r{number}"
            until(lambda number=number: number in seen)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert mixed == []


def in_manifest(folder: Path, name: str) -> None:
    """Makes the manifest agree with a file that was changed: only what is in it can give it away."""
    content = (folder / name).read_bytes()
    entry = FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    before = read_manifest(folder)
    after = Manifest.model_validate({**before.model_dump(), "files": {**before.files, name: entry}})
    (folder / "manifest.json").write_text(after.model_dump_json(indent=2))


def not_finite(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "weights.safetensors")
    name = next(name for name, values in weights.items() if values.dtype == np.float32 and values.size > 1)
    weights[name].reshape(-1)[0] = np.nan
    save_file(weights, folder / "weights.safetensors")
    in_manifest(folder, "weights.safetensors")


def wrong_width(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "weights.safetensors")
    name = next(name for name, values in weights.items() if values.ndim == 2 and values.shape[1] > 1)
    weights[name] = np.ascontiguousarray(weights[name][:, :-1])
    save_file(weights, folder / "weights.safetensors")
    in_manifest(folder, "weights.safetensors")


def moved_golden(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    golden = load_file(folder / "golden.safetensors")
    golden["score.rating"][0] += 0.01
    save_file(golden, folder / "golden.safetensors")
    in_manifest(folder, "golden.safetensors")


def wrong_hash(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config) + "\n")


def foreign(folder: Path) -> None:
    """A good artifact, but not the one that was released."""
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    in_manifest(folder, "config.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (not_finite, "not finite"),
        (wrong_width, "do not fit the config"),
        (moved_golden, "golden example"),
        (wrong_hash, "not the one that was saved"),
        (foreign, "has the hash"),
    ],
)
def test_a_broken_release_is_refused_and_the_old_one_serves(
    tiny_release: HostSettings, artifact_folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    settings = replace(tiny_release, home=tmp_path)
    shutil.copytree(tiny_release.releases, settings.releases)
    shutil.copytree(tiny_release.feast, settings.feast)
    store, folders = ReleaseStore(settings.releases), {}
    good = store.live()
    assert good is not None
    folders[good.release_id] = artifact_folder
    live = LiveRuntime(store, lambda: Runtime.open(settings, folders[str(store.live_id())]), check_seconds=0.0)

    folders["broken"] = shutil.copytree(artifact_folder, tmp_path / "artifact")
    damage(folders["broken"])
    released_as = good.artifact_hash if damage is foreign else read_manifest(folders["broken"]).artifact_hash
    broken = good.model_copy(update={"release_id": "broken", "artifact_hash": released_as})
    store.publish(broken, store.read_texts(good))
    store.promote("broken")

    until(lambda: live.ready and live._settled == "broken")
    with pytest.raises(ReleaseError, match=message):
        raise live._refusal
    assert live.current().recommend(RecommendRequest(consumer_id="c0", k=2)).release_id == good.release_id
    store.rollback()
    until(lambda: live.ready and live._settled == good.release_id)
    assert live.current().score("c0", ["p1"]).items[0].click is not None


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
