"""The ledger remembers every answer, serves only usable and undamaged ones, and names what is wrong."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import SettingError, StoreError
from features.ledger import CHUNK, Ledger
from features.types import Claim, Completion, FinishReason, ModelIdentity, Slot, TextRequest

POSTGRES = os.environ.get(
    "COUNTERPOINT_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test?connect_timeout=2"
)
MODEL = ModelIdentity("model", "1")


def request_of(n: int, kind: str = "facets") -> TextRequest:
    return TextRequest(kind, f"consumer:{n}", "System.", f"Prompt {n}, naïve.", (Slot("Likes"),), MODEL)


def answer_to(request: TextRequest, text: str = "Likes naïve films.", finish: str = "stop") -> Completion:
    return Completion(
        request.key, (Claim(text),), FinishReason(finish), 10, 5, 0.123456789, MODEL, "" if finish == "stop" else "why"
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in each kind of database."""
    if request.param == "sqlite":
        with Ledger(f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite'}") as opened:
            yield opened
        return
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(POSTGRES)
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError:
        pytest.skip("No PostgreSQL: start one with `initdb -A trust` and set COUNTERPOINT_TEST_POSTGRES to its URL.")
    prefix = f"t{uuid.uuid4().hex[:8]}_"
    with Ledger(POSTGRES, prefix) as opened:
        yield opened
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP TABLE IF EXISTS {prefix}answers_v2"))
    engine.dispose()


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


def test_two_runs_side_by_side_never_clash(ledger: Ledger) -> None:
    prefix = ledger.table_name.removesuffix("answers_v2")
    requests, errors = [request_of(n) for n in range(10)], []

    def run() -> None:
        try:
            with Ledger(ledger.url, prefix) as mine:
                for asked in requests:
                    mine.record(asked, answer_to(asked))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ledger.summary().answers == 10


def test_more_keys_than_one_query_holds_are_found(ledger: Ledger) -> None:
    first, last = request_of(0), request_of(2 * CHUNK)
    for asked in (first, last):
        ledger.record(asked, answer_to(asked))
    assert set(ledger.find(request_of(n).key for n in range(2 * CHUNK + 1))) == {first.key, last.key}


def test_the_summary_is_the_account_of_everything_bought(ledger: Ledger) -> None:
    assert ledger.summary().answers == 0
    for n, kind, finish in ((1, "facets", "stop"), (2, "facets", "length"), (3, "pairs", "stop")):
        asked = request_of(n, kind)
        ledger.record(asked, answer_to(asked, finish=finish))
    summary = ledger.summary()
    assert (summary.answers, summary.usable, summary.prompt_tokens, summary.completion_tokens) == (3, 2, 30, 15)
    assert summary.seconds == pytest.approx(3 * 0.123456789)
    assert [(kind.kind, kind.answers) for kind in summary.kinds] == [("facets", 2), ("pairs", 1)]
    assert dict(summary.finishes) == {FinishReason.STOP: 2, FinishReason.LENGTH: 1}


def test_a_forgotten_subject_leaves_nothing(ledger: Ledger) -> None:
    for n in (1, 2):
        ledger.record(request_of(n), answer_to(request_of(n)))
    assert ledger.forget(["consumer:1", "consumer:9"]) == 1
    assert set(ledger.find([request_of(1).key, request_of(2).key])) == {request_of(2).key}


@pytest.mark.parametrize("column", ["claims", "finish_kept_stop", "model_name", "request"])
def test_a_damaged_answer_is_an_error_that_names_its_key(tmp_path: Path, column: str) -> None:
    path, asked = tmp_path / "ledger.sqlite", request_of(1)
    ledger = Ledger(f"sqlite:///{path}")
    ledger.record(asked, answer_to(asked))
    ledger.close()
    column = "seconds" if column == "finish_kept_stop" else column
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE answers_v2 SET {column} = '7'")
    connection.close()
    with ledger, pytest.raises(StoreError, match=asked.key):
        ledger.find([asked.key])


def test_an_answer_to_another_request_is_not_recorded(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="Nothing was recorded"):
        ledger.record(request_of(1), answer_to(request_of(2)))
    assert ledger.summary().answers == 0


def test_the_subject_is_no_part_of_the_key(ledger: Ledger) -> None:
    asked = request_of(1)
    ledger.record(asked, answer_to(asked))
    assert ledger.find([replace(asked, subject="other").key])


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").close()
    assert list(tmp_path.iterdir()) == []


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
        ledger.find(["0"])


def test_a_server_that_is_not_there_is_an_error_without_the_password() -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none?connect_timeout=2"
    with Ledger(url) as ledger, pytest.raises(StoreError, match="Could not read the ledger") as caught:
        ledger.find(["0"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["no url", "mysql://here/db"])
def test_a_wrong_url_is_a_setting_error(url: str) -> None:
    with Ledger(url) as ledger, pytest.raises(SettingError, match="sqlite"):
        ledger.find(["0"])
