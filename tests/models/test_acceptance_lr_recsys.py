"""LR-Recsys as a whole: what it may know, what it must gain from, and what it leaves behind.

The other items of the method's acceptance list are specified where their parts are: reconstruction and retrieval of
codes in `test_autoencoder.py`, exported attention in `test_conformance.py`, gains and their absence on planted reasons
in `test_lr_recsys.py`, a rerun without a language model in `tests/benchmarks/test_lr_runs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.lake import Lake
from features.ledger import Ledger
from features.readers.world import WorldConfig, generate_world
from features.types import Interactions, Snapshot, TextRequest
from flows.prepare import Prepared, prepare
from flows.recipe import read_recipe
from models.backbones.collaborative import CollaborativeConfig
from models.backbones.fusion import BACKENDS, Backend
from models.base import RunContext
from models.llm.scripted import SCRIPTED
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.metrics.ranking import auc
from models.testing import SCALE, planted_reasons

CANARY = "zyzzyva"
AGE = "17-and-a-half"


@pytest.fixture(scope="module")
def world() -> tuple[Snapshot, datetime]:
    """The built-in world with an age for everybody, and the time from which its rows are held out."""
    dataset = generate_world(WorldConfig(3, 60, 40, 900)).dataset
    frame = dataset.interactions.frame
    consumers = pd.DataFrame({"consumer_id": frame["consumer_id"].unique(), "name": "age", "value": AGE})
    catalog = replace(dataset.catalog, consumers=consumers)
    as_of = (frame["timestamp"].max() + pd.Timedelta(days=1)).to_pydatetime()
    cut = frame["timestamp"].quantile(0.8).to_pydatetime()
    return Snapshot(dataset.interactions, catalog, dataset.scale, as_of), cut


def asked(snapshot: Snapshot, cut: datetime, folder: Path) -> Prepared:
    """What a run would ask a language model about everybody, and about 40 pairs."""
    section = read_recipe("world/demo").explain.model_copy(update={"n_pairs": 40})
    ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
    return prepare(Lake(folder / "lake"), ledger, snapshot, cut, section, SCRIPTED)


def content(prepared: Prepared) -> Sequence[str]:
    """Every request to the byte, the pairs' two each among them."""
    requests: list[TextRequest] = [item.request for item in prepared.asked]
    assert any(len(item.entities) == 2 for item in prepared.asked)
    return sorted(f"{request.subject} {request.canonical()}" for request in requests)


def changed_from(snapshot: Snapshot, cut: datetime, **columns: object) -> Snapshot:
    """Other values in the rows that are held out."""
    frame = snapshot.interactions.frame
    later = frame["timestamp"] >= pd.Timestamp(cut)
    assert later.sum() > 100
    changed = {name: frame[name].where(~later, value) for name, value in columns.items()}
    return replace(snapshot, interactions=Interactions(frame.assign(**changed)))


def test_no_label_that_is_held_out_changes_a_byte_of_any_text_asked_for(
    world: tuple[Snapshot, datetime], tmp_path: Path
) -> None:
    snapshot, cut = world
    frame = snapshot.interactions.frame
    before = content(asked(snapshot, cut, tmp_path))
    turned = changed_from(snapshot, cut, rating=6 - frame["rating"])
    assert content(asked(turned, cut, tmp_path)) == before
    all_turned = replace(snapshot, interactions=Interactions(frame.assign(rating=6 - frame["rating"])))
    assert content(asked(all_turned, cut, tmp_path)) != before


def test_a_word_of_a_held_out_review_reaches_no_fact_and_no_prompt(
    world: tuple[Snapshot, datetime], tmp_path: Path
) -> None:
    snapshot, cut = world
    planted = changed_from(snapshot, cut, review=f"I love its {CANARY} and the {CANARY} sound.")
    prepared = asked(planted, cut, tmp_path)
    assert content(prepared) == content(asked(snapshot, cut, tmp_path))
    assert CANARY not in "".join([*content(prepared), *(fact.text for fact in prepared.facts)])


def test_nothing_personal_reaches_a_fact_or_a_prompt(world: tuple[Snapshot, datetime], tmp_path: Path) -> None:
    prepared = asked(*world, tmp_path)
    assert AGE not in "".join([*content(prepared), *(fact.text for fact in prepared.facts)])


@pytest.mark.slow
@pytest.mark.parametrize("backend", [kind for kind in BACKENDS if kind != "mlp"])
def test_the_other_back_ends_gain_from_reasons_too(backend: Backend) -> None:
    config = LRRecsysConfig(
        embedding_size=16, hidden=(32,), dropout=0.0, batch_size=128, learning_rate=5e-3, epochs=12, patience=12,
        collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=20, burn_in=10, samples=5, folds=2, starts=(0.3,)),
        backend=backend,
    )  # fmt: skip
    train, valid, test = (
        planted_reasons(n, "facets", signal=True, seed=seed) for seed, n in enumerate((1500, 300, 600))
    )
    reached = []
    for shown in ("full", "none"):
        method = LRRecsys(config.model_copy(update={"explanations": shown}), SCALE)
        method.fit(train, valid, RunContext(seed=1))
        reached.append(auc(test.liked, method.score(test.batch).click))
    assert reached[0] > 0.9
    assert reached[1] < 0.6
    assert np.isclose(method.score(test.batch).attention.sum(1), 1, atol=1e-5).all()
