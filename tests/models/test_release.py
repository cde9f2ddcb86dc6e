"""Releases: written whole, signed, promoted and rolled back; what was changed afterwards is refused."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from features.errors import ReleaseError
from features.types import ModelIdentity, RatingScale
from models.release import Action, Metric, Release, ReleaseStore, ReleaseTexts

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def make_release(release_id: str = "r1") -> Release:
    return Release(
        release_id=release_id,
        created_at=NOW,
        method="lr_recsys",
        artifact_tag="counterpoint:abc",
        artifact_hash="0" * 64,
        feature_service="ranker",
        text_set_hash="t",
        prompt_hash="p",
        data_hash="d",
        encoder=ModelIdentity("mini", "1"),
        llm=ModelIdentity("smol", "1"),
        metrics=(Metric(name="rmse", value=0.9),),
        scale=RatingScale(),
        as_of=NOW,
    )


def make_texts() -> ReleaseTexts:
    return ReleaseTexts(
        products=pd.DataFrame({"product_id": ["p1"], "title": ["Alien"], "description": [""]}),
        facets=pd.DataFrame({"facet_id": ["f1"], "fact_ids": [["a", "b"]], "vector": [[0.5, 1.0]]}),
        facts=pd.DataFrame({"fact_id": ["a"], "text": ["Scary."]}),
        pair_texts=pd.DataFrame({"consumer_id": ["c1"], "text": ["You like to be scared."]}),
    )


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    store = ReleaseStore(tmp_path / "releases")
    for release_id in ("r1", "r2", "r3"):
        store.publish(make_release(release_id), make_texts())
    return store


def test_a_release_reads_back_as_it_was_published(store: ReleaseStore) -> None:
    texts = store.read_texts(store.read("r1"))
    assert store.read("r1") == make_release("r1")
    assert texts.products.equals(make_texts().products)
    assert list(texts.facets["fact_ids"][0]) == ["a", "b"]


def test_nothing_is_live_until_it_is_promoted(store: ReleaseStore) -> None:
    assert store.live() is None
    assert store.promote("r1").release_id == "r1"
    assert store.live() == make_release("r1")


def test_rollback_walks_back_through_the_promotions(store: ReleaseStore) -> None:
    for release_id in ("r1", "r2", "r3"):
        store.promote(release_id)
    assert [store.rollback().release_id, store.rollback().release_id] == ["r2", "r1"]
    with pytest.raises(ReleaseError, match="no release before r1"):
        store.rollback()
    moves = [(move.release_id, move.action) for move in store.history()]
    assert moves[-2:] == [("r2", Action.ROLLBACK), ("r1", Action.ROLLBACK)]
    assert len(moves) == 5


def test_promoting_the_live_release_changes_nothing(store: ReleaseStore) -> None:
    store.promote("r1")
    store.promote("r1")
    assert len(store.history()) == 1


def test_a_release_is_never_overwritten(store: ReleaseStore) -> None:
    with pytest.raises(ReleaseError, match="already exists"):
        store.publish(make_release("r1"), make_texts())


@pytest.mark.parametrize("name", ["manifest.json", "facts.parquet", "signature"])
def test_an_edited_file_is_refused(store: ReleaseStore, name: str) -> None:
    path = store.folder / "r1" / name
    content = path.read_bytes()
    path.write_bytes(content.replace(content[-20:-10], bytes(10)))
    with pytest.raises(ReleaseError):
        store.promote("r1")


def test_a_manifest_signed_with_another_key_is_refused(store: ReleaseStore) -> None:
    (store.folder / "key").write_text("00" * 32)
    with pytest.raises(ReleaseError, match="changed after it was signed"):
        store.read("r1")


def test_hashes_made_to_fit_an_edited_file_do_not_help(store: ReleaseStore) -> None:
    (store.folder / "r1" / "facts.parquet").write_bytes((store.folder / "r1" / "products.parquet").read_bytes())
    sums = (store.folder / "r1" / "signature").read_text().splitlines()
    facts, products = (
        next(line for line in sums if line.endswith(f"{name}.parquet")) for name in ("facts", "products")
    )
    forged = facts.replace(facts.split()[0], products.split()[0])
    (store.folder / "r1" / "signature").write_text("\n".join(sums).replace(facts, forged) + "\n")
    with pytest.raises(ReleaseError, match="signature does not match"):
        store.read_texts(make_release("r1"))


def test_the_key_is_readable_by_its_owner_only(store: ReleaseStore) -> None:
    assert stat.S_IMODE((store.folder / "key").stat().st_mode) == 0o600


def test_documents_are_signed_with_the_release(store: ReleaseStore) -> None:
    store.publish(make_release("r4"), make_texts(), {"card.md": "# Über r4"})
    assert store.read_document("r4", "card.md") == "# Über r4"
    assert store.read_document("r1", "card.md") is None
    (store.folder / "r4" / "card.md").write_text("# Better than it is")
    with pytest.raises(ReleaseError, match=r"card\.md does not match"):
        store.read_document("r4", "card.md")


def test_a_document_put_beside_a_release_later_is_refused(store: ReleaseStore) -> None:
    (store.folder / "r1" / "card.md").write_text("# Forged")
    with pytest.raises(ReleaseError, match=r"card\.md"):
        store.read_document("r1", "card.md")


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    store, texts = ReleaseStore(tmp_path), make_texts()
    mixed = texts.facts.assign(text=[object()])
    with pytest.raises(ReleaseError):
        store.publish(make_release(), ReleaseTexts(texts.products, texts.facets, mixed, texts.pair_texts))
    assert store.ids() == ()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("release_id", ["../x", "", "A", ".hidden", "a/b"])
def test_an_id_that_could_leave_the_folder_is_refused(release_id: str) -> None:
    with pytest.raises(ValidationError):
        make_release(release_id)


def test_an_unknown_release_names_the_known_ones(store: ReleaseStore) -> None:
    with pytest.raises(ReleaseError, match="r1, r2, r3"):
        store.promote("r9")
