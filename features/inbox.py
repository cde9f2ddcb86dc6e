"""What the service takes in between two refreshes: ratings that consumers give, and consumers who must be forgotten.

One SQLite file in the home, written through before an answer says so. The service reads it on every request, the next
ingest takes it over into the lake. Who was forgotten is kept as a hash: enough to leave them out of a source that
still holds them, and no list of their ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from features.errors import InputError, StoreError
from features.types import content_hash

WAIT_SECONDS = 5.0
"""How long a write waits for another one."""
_TABLES = """
CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT, feedback_id TEXT UNIQUE NOT NULL, consumer_id TEXT NOT NULL,
    product_id TEXT NOT NULL, rating REAL NOT NULL, micros INTEGER NOT NULL, recommendation_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_consumer ON feedback (consumer_id, micros);
CREATE TABLE IF NOT EXISTS forgotten (consumer_hash TEXT PRIMARY KEY, micros INTEGER NOT NULL);
"""
_COLUMNS = "feedback_id, consumer_id, product_id, rating, micros, recommendation_id"


@dataclass(frozen=True)
class Feedback:
    """A rating that a consumer gave through the service."""

    feedback_id: str
    """Chosen by the caller; the same one twice is one rating."""
    consumer_id: str
    product_id: str
    rating: float
    at: datetime
    recommendation_id: str = ""
    """Of the answer that led to it, if one did."""


class Inbox:
    """The file; it is made by the first write. Every failure is a StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, feedback: Feedback) -> bool:
        """Keeps a rating; False if it is there already.

        Raises:
            InputError: the id was used for another rating, or the consumer was forgotten.
        """
        with self._writing() as connection, connection:
            if self._is_forgotten(connection, feedback.consumer_id):
                raise InputError("This consumer was forgotten.", remedy="Use a new consumer id if they come back.")
            row = _row(feedback)
            query = f"INSERT OR IGNORE INTO feedback ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            if connection.execute(query, row).rowcount:
                return True
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM feedback WHERE feedback_id = ?", (feedback.feedback_id,)
            ).fetchone()
        if _said(_feedback(found)) != _said(feedback):
            raise InputError(
                f"The feedback id {feedback.feedback_id!r} was used for another rating.", "Give each rating its own."
            )
        return False

    def of(self, consumer_id: str, after: datetime | None = None) -> list[Feedback]:
        """A consumer's ratings, in order of time; `after`: only later ones."""
        since = _micros(after) if after else -1
        query = f"SELECT {_COLUMNS} FROM feedback WHERE consumer_id = ? AND micros > ? ORDER BY micros, number"
        return self._read(query, (consumer_id, since))

    def everything(self) -> list[Feedback]:
        """All ratings in the order in which they came."""
        return self._read(f"SELECT {_COLUMNS} FROM feedback ORDER BY number")

    def forget(self, consumer_id: str) -> None:
        """Deletes a consumer's ratings, and notes that nothing of them may be used any more."""
        with self._writing() as connection:
            with connection:
                known = (content_hash(consumer_id), _micros(datetime.now(UTC)))
                connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?, ?)", known)
                connection.execute("DELETE FROM feedback WHERE consumer_id = ?", (consumer_id,))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what was deleted is not left in the log

    def is_forgotten(self, consumer_id: str) -> bool:
        """Whether nothing of this consumer may be used."""
        with self._reading() as connection:
            return connection is not None and self._is_forgotten(connection, consumer_id)

    def forgotten(self) -> frozenset[str]:
        """Hashes (`content_hash`) of the ids of all consumers who were forgotten."""
        with self._reading() as connection:
            found = connection.execute("SELECT consumer_hash FROM forgotten") if connection else ()
            return frozenset(name for (name,) in found)

    def fingerprint(self) -> str:
        """Names what is in here: changes with every rating and every consumer forgotten."""
        return content_hash([item.feedback_id for item in self.everything()], sorted(self.forgotten()))

    def _is_forgotten(self, connection: sqlite3.Connection, consumer_id: str) -> bool:
        query = "SELECT 1 FROM forgotten WHERE consumer_hash = ?"
        return connection.execute(query, (content_hash(consumer_id),)).fetchone() is not None

    def _read(self, query: str, parameters: Sequence[object] = ()) -> list[Feedback]:
        with self._reading() as connection:
            return [_feedback(row) for row in connection.execute(query, parameters)] if connection else []

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The file as it is, or None where there is none yet."""
        if not self._path.exists():
            yield None
            return
        with self._errors(), closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", WAIT_SECONDS, uri=True)) as it:
            yield it

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # an answer says that it is kept: it must be
                connection.execute("PRAGMA secure_delete = ON")
                connection.executescript(_TABLES)
                yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"The inbox {self._path} cannot be used: {error}.", remedy="Check free space and permissions there."
            ) from error


def _row(feedback: Feedback) -> tuple[object, ...]:
    return (
        feedback.feedback_id,
        feedback.consumer_id,
        feedback.product_id,
        feedback.rating,
        _micros(feedback.at),
        feedback.recommendation_id,
    )


def _feedback(row: Sequence[object]) -> Feedback:
    feedback_id, consumer_id, product_id, rating, micros, recommendation_id = row
    at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(str(micros)))
    return Feedback(str(feedback_id), str(consumer_id), str(product_id), float(str(rating)), at, str(recommendation_id))


def _said(feedback: Feedback) -> tuple[object, ...]:
    """What a repeated request must have in common; the time is that of the first."""
    return feedback.consumer_id, feedback.product_id, feedback.rating, feedback.recommendation_id


def _micros(time: datetime) -> int:
    return round((time - datetime.fromtimestamp(0, UTC)) / timedelta(microseconds=1))
