"""The ledger remembers every answer, serves only usable and undamaged ones, and names what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.errors import SettingError, StoreError
from features.ledger import Ledger
from features.ledger.runs import CHUNK
from features.types import Claim, Completion, FinishReason, ModelIdentity, ShownFact, Slot, TextRequest

MODEL = ModelIdentity("model", "1")


def request_of(n: int, kind: str = "facets") -> TextRequest:
    return TextRequest(kind, f"consumer:{n}", "System.", f"Prompt {n}, naïve.", (Slot("Likes"),), MODEL)


def answer_to(request: TextRequest, text: str = "Likes naïve films.", finish: str = "stop") -> Completion:
    return Completion(
        request.key, (Claim(text),), FinishReason(finish), 10, 5, 0.123456789, MODEL, "" if finish == "stop" else "why"
    )


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger in each kind of database."""
    with Ledger(ledger_url) as opened:
        yield opened


def test_an_answer_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    asked = request_of(1)
    ledger.record(asked, answer_to(asked))
    ledger.close()  # what is read now comes from the disk
    assert ledger.find([asked.key, request_of(2).key]) == {asked.key: answer_to(asked)}


def test_an_answer_is_on_disk_before_record_returns(tmp_path: Path) -> None:
    url, asked = f"sqlite:///{tmp_path / 'ledger.sqlite'}", request_of(1)
    with Ledger(url) as writer, Ledger(url) as reader:
        writer.record(asked, answer_to(asked))
        assert asked.key in reader.find([asked.key])


def test_only_usable_answers_are_served_and_others_are_listed(ledger: Ledger) -> None:
    good, cut, refused = request_of(1), request_of(2), request_of(3)
    ledger.record(good, answer_to(good))
    ledger.record(cut, answer_to(cut, finish="length"))
    ledger.record(refused, answer_to(refused, finish="refused"))
    keys = [good.key, cut.key, refused.key]
    assert set(ledger.find(keys)) == {good.key}
    assert ledger.failed(keys) == {cut.key: FinishReason.LENGTH, refused.key: FinishReason.REFUSED}
    assert [(failure.subject, failure.finish, failure.note) for failure in ledger.failures()] == [
        ("consumer:2", FinishReason.LENGTH, "why"),
        ("consumer:3", FinishReason.REFUSED, "why"),
    ]


def test_the_first_usable_answer_stays_and_a_failed_one_gives_way(ledger: Ledger) -> None:
    asked = request_of(1)
    ledger.record(asked, answer_to(asked, finish="length"))
    ledger.record(asked, answer_to(asked, "Likes the first."))
    ledger.record(asked, answer_to(asked, "Likes the second."))
    ledger.record(asked, answer_to(asked, finish="refused"))
    assert ledger.find([asked.key])[asked.key].lines == ("Likes the first.",)


def test_more_keys_than_one_query_holds_are_found(ledger: Ledger) -> None:
    first, last = request_of(0), request_of(2 * CHUNK)
    for asked in (first, last):
        ledger.record(asked, answer_to(asked))
    assert set(ledger.find(request_of(n).key for n in range(2 * CHUNK + 1))) == {first.key, last.key}


def test_the_summary_counts_everything_that_was_asked_and_bought(ledger: Ledger) -> None:
    assert (ledger.summary().answers, ledger.summary().hit_rate) == (0, 0.0)
    with ledger.run() as run:
        run.account(asked=8, from_ledger=4, known_failures=1)
        for n, kind, finish in ((1, "facets", "stop"), (2, "facets", "length"), (3, "pairs", "stop")):
            run.record(request_of(n, kind), answer_to(request_of(n, kind), finish=finish))
    summary = ledger.summary()
    assert (summary.runs, summary.asked, summary.from_ledger, summary.hit_rate) == (1, 8, 4, 0.5)
    assert (summary.answers, summary.usable, summary.failed) == (3, 2, 1)
    assert (summary.prompt_tokens, summary.completion_tokens) == (30, 15)
    assert summary.seconds == pytest.approx(3 * 0.123456789)
    assert [(kind.kind, kind.answers, kind.prompt_tokens) for kind in summary.kinds] == [
        ("facets", 2, 20),
        ("pairs", 1, 10),
    ]


def test_an_answer_that_gave_way_or_came_second_is_still_paid(ledger: Ledger) -> None:
    asked = request_of(1)
    for text, finish in (("Bad", "length"), ("Likes the first.", "stop"), ("Likes the second.", "stop")):
        ledger.record(asked, answer_to(asked, text, finish))
    summary = ledger.summary()
    assert (summary.answers, summary.usable, summary.failed, summary.prompt_tokens) == (3, 1, 1, 30)
    assert sum(kind.answers for kind in summary.kinds) == 3


def test_failures_are_counted_by_cause_without_their_details(ledger: Ledger) -> None:
    notes = ["not the 2 lines that were asked for", "not the 3 lines that were asked for", "refusal: no names, please"]
    for n, note in enumerate(notes):
        finish = FinishReason.REFUSED if note.startswith("refusal") else FinishReason.MALFORMED
        ledger.record(request_of(n), replace(answer_to(request_of(n)), finish=finish, note=note))
    assert [(count.finish, count.cause, count.answers) for count in ledger.summary().failures] == [
        (FinishReason.MALFORMED, "not the N lines that were asked for", 2),
        (FinishReason.REFUSED, "refusal", 1),
    ]


def test_what_failed_up_to_a_mark_does_not_count(ledger: Ledger) -> None:
    early, late = request_of(1), request_of(2)
    ledger.record(early, answer_to(early, finish="length"))
    mark = ledger.mark()
    ledger.record(late, answer_to(late, finish="length"))
    assert set(ledger.failed([early.key, late.key], after=mark)) == {late.key}


def test_a_forgotten_subject_leaves_nothing_but_its_cost(ledger: Ledger) -> None:
    for n in (1, 2):
        ledger.record(request_of(n), answer_to(request_of(n)))
    refused = request_of(3)
    ledger.record(replace(refused, subject="consumer:1"), answer_to(refused, finish="refused"))
    assert ledger.forget(["consumer:1", "consumer:9"]) == 2
    assert set(ledger.find([request_of(1).key, request_of(2).key])) == {request_of(2).key}
    assert ledger.failures() == []
    assert ledger.summary().answers == 3, "what was paid stays paid"


@pytest.mark.parametrize("column", ["claims", "finish_kept_stop", "model_name", "request"])
def test_a_damaged_answer_is_an_error_that_names_its_key(tmp_path: Path, column: str) -> None:
    path, asked = tmp_path / "ledger.sqlite", request_of(1)
    ledger = Ledger(f"sqlite:///{path}")
    ledger.record(asked, answer_to(asked))
    ledger.close()
    column = "seconds" if column == "finish_kept_stop" else column
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE answers_v3 SET {column} = '7'")
    connection.close()
    with ledger, pytest.raises(StoreError, match=asked.key):
        ledger.find([asked.key])


def test_an_answer_to_another_request_is_not_recorded(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="Nothing was recorded"):
        ledger.record(request_of(1), answer_to(request_of(2)))
    assert ledger.summary().answers == 0


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelIdentity("model", "2")},
        {"model": ModelIdentity("other", "1")},
        {"kind": "pairs"},
        {"system": "Other."},
        {"prompt": "Other."},
        {"slots": (Slot("Likes", max_tokens=7),)},
        {"slots": (Slot("Likes", cites=("F1",)),)},
        {"facts": (ShownFact("F1", "Rated ten films."),)},
        {"temperature": 0.5},
        {"seed": 1},
        {"schema": "other/1"},
        {"tenant": "other"},
    ],
    ids=str,
)
def test_whatever_can_change_an_answer_is_part_of_its_key(change: dict[str, Any]) -> None:
    assert replace(request_of(1), **change).key != request_of(1).key


def test_nothing_else_is_part_of_the_key() -> None:
    told = {name for name in request_of(1).__dataclass_fields__ if name in json.loads(request_of(1).canonical())}
    assert told == {"kind", "system", "prompt", "slots", "model", "temperature", "seed", "facts", "tenant", "schema"}


def test_the_subject_is_no_part_of_the_key(ledger: Ledger) -> None:
    asked = request_of(1)
    ledger.record(asked, answer_to(asked))
    assert ledger.find([replace(asked, subject="other").key])


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").close()
    assert list(tmp_path.iterdir()) == []


def test_reading_makes_no_file_and_the_first_answer_does(tmp_path: Path) -> None:
    path, asked = tmp_path / "new" / "ledger.sqlite", request_of(1)
    with Ledger(f"sqlite:///{path}") as ledger:
        assert (ledger.find([asked.key]), ledger.failed([asked.key]), ledger.past_use(MODEL)) == ({}, {}, {})
        assert ledger.summary().answers == ledger.mark() == len(ledger.failures()) == 0
        assert not path.parent.exists()
        ledger.record(asked, answer_to(asked))
        assert asked.key in ledger.find([asked.key])
    assert path.is_file()


def test_what_another_process_made_meanwhile_is_read(tmp_path: Path) -> None:
    url, asked = f"sqlite:///{tmp_path / 'ledger.sqlite'}", request_of(1)
    with Ledger(url) as reader, Ledger(url) as writer:
        assert reader.find([asked.key]) == {}
        writer.record(asked, answer_to(asked))
        assert asked.key in reader.find([asked.key])


def test_a_file_that_is_no_database_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"This is no database. " * 100)
    with Ledger(f"sqlite:///{path}") as ledger, pytest.raises(StoreError, match="not a database"):
        ledger.record(request_of(1), answer_to(request_of(1)))


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.sqlite'}") as ledger,
        pytest.raises(StoreError, match="exists"),
    ):
        ledger.record(request_of(1), answer_to(request_of(1)))


def test_a_server_that_is_not_there_is_an_error_without_the_password() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none?connect_timeout=2"
    with Ledger(url) as ledger, pytest.raises(StoreError, match="Could not read the ledger") as caught:
        ledger.find(["0"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["no url", "mysql://here/db"])
def test_a_wrong_url_is_a_setting_error(url: str) -> None:
    with Ledger(url) as ledger, pytest.raises(SettingError, match="sqlite"):
        ledger.find(["0"])
