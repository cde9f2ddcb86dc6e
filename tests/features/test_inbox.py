"""The inbox keeps every rating once, and forgets whom it must; the next ingest takes it over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.errors import InputError, StoreError
from features.inbox import Feedback, Inbox
from features.readers.checkerboard import checkerboard
from features.readers.inbox import with_inbox
from features.types import content_hash

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def rating(n: int = 0, **changes: object) -> Feedback:
    return replace(Feedback(f"f{n}", "c1", "p1", 4.0, NOON + timedelta(minutes=n), "r"), **changes)  # type: ignore[arg-type]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "deep" / "inbox.sqlite")


def test_a_rating_comes_back_as_it_was_given_also_to_another_process(inbox: Inbox) -> None:
    assert inbox.add(rating(0, at=NOON.replace(microsecond=123457), rating=3.5))
    assert Inbox(inbox._path).everything() == [rating(0, at=NOON.replace(microsecond=123457), rating=3.5)]


def test_the_same_feedback_twice_is_one_rating_given_the_first_time(inbox: Inbox) -> None:
    assert inbox.add(rating())
    assert not inbox.add(rating(at=NOON + timedelta(days=1)))
    assert inbox.everything() == [rating()]


@pytest.mark.parametrize("other", [{"rating": 2.0}, {"product_id": "p2"}, {"consumer_id": "c2"}])
def test_an_id_that_stands_for_another_rating_is_refused(inbox: Inbox, other: dict[str, object]) -> None:
    inbox.add(rating())
    with pytest.raises(InputError, match="'f0' was used"):
        inbox.add(rating(**other))


def test_a_consumers_ratings_come_in_order_of_time_and_later_ones_alone_on_request(inbox: Inbox) -> None:
    for n in (2, 0, 1):
        inbox.add(rating(n))
    inbox.add(rating(3, consumer_id="c2"))
    assert [item.feedback_id for item in inbox.of("c1")] == ["f0", "f1", "f2"]
    assert [item.feedback_id for item in inbox.of("c1", rating(1).at)] == ["f2"]


def test_a_forgotten_consumer_has_no_rating_and_can_give_none_and_no_byte_is_left(inbox: Inbox) -> None:
    inbox.add(rating(0, consumer_id="Wilhelmina"))
    inbox.add(rating(1))
    inbox.forget("Wilhelmina")
    assert inbox.is_forgotten("Wilhelmina")
    assert not inbox.is_forgotten("c1")
    assert [item.consumer_id for item in inbox.everything()] == ["c1"]
    with pytest.raises(InputError, match="was forgotten"):
        inbox.add(rating(2, consumer_id="Wilhelmina"))
    files = [path.read_bytes() for path in inbox._path.parent.iterdir()]
    assert files
    assert not any(b"Wilhelmina" in content for content in files)


def test_an_inbox_that_nobody_wrote_to_is_empty_and_stays_unmade(inbox: Inbox) -> None:
    assert (inbox.everything(), inbox.of("c1"), inbox.forgotten()) == ([], [], frozenset())
    assert not inbox.is_forgotten("c1")
    assert not inbox._path.exists()


def test_its_fingerprint_changes_with_what_is_in_it(inbox: Inbox) -> None:
    found = [inbox.fingerprint()]
    inbox.add(rating())
    found.append(inbox.fingerprint())
    inbox.forget("c7")
    found.append(inbox.fingerprint())
    assert len(set(found)) == 3
    assert inbox.fingerprint() == found[-1]


def test_a_file_that_is_no_inbox_is_named(tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").write_text("not a database, and long enough to look like one " * 40)
    with pytest.raises(StoreError, match=r"inbox\.sqlite cannot be used"):
        Inbox(tmp_path / "inbox.sqlite").is_forgotten("c1")


def test_ratings_join_the_source_and_the_latest_of_a_pair_counts() -> None:
    source = checkerboard(4)
    frame = source.interactions.frame
    consumer_id, product_id = frame.loc[0, ["consumer_id", "product_id"]]
    again = rating(0, consumer_id=consumer_id, product_id=product_id, rating=2.0)
    new, gone = rating(1, consumer_id="new", product_id=product_id), rating(2, product_id="gone")
    merged = with_inbox(source, [again, new, gone], frozenset())
    after = merged.dataset.interactions.frame
    assert (merged.n_feedback, len(after)) == (2, len(frame) + 1)
    assert after[["consumer_id", "product_id", "rating"]].tail(2).to_numpy().tolist() == [
        [consumer_id, product_id, 2.0],
        ["new", product_id, 4.0],
    ]
    assert after["row"].is_unique
    assert after.dtypes.equals(frame.dtypes)
    assert after["timestamp"].is_monotonic_increasing


def test_the_forgotten_are_left_out_of_what_the_source_still_holds() -> None:
    source = checkerboard(4)
    consumer_id = source.interactions.frame["consumer_id"][0]
    told = pd.DataFrame({"consumer_id": [consumer_id, "other"], "name": "age", "value": "25-34"})
    source = replace(source, catalog=replace(source.catalog, consumers=told))
    merged = with_inbox(source, [], frozenset({content_hash(consumer_id), content_hash("stranger")}))
    assert merged.n_forgotten == 1
    assert consumer_id not in set(merged.dataset.interactions.frame["consumer_id"])
    assert merged.dataset.catalog.consumers["consumer_id"].tolist() == ["other"]
    assert len(with_inbox(source, [], frozenset()).dataset.interactions) == len(source.interactions)
