"""The ledger: every answer of a language model, committed the moment it arrives, under its request's key.

It is the only memory of what was bought. SQLite by default, PostgreSQL by URL. SQLite runs in WAL mode with
synchronous=FULL: an answer that was reported as recorded survives a power cut, and one fsync (a few ms) is
nothing beside the seconds an answer takes.

Answers that were cut, refused or malformed are kept for the accounts but never served. A row carries a checksum
over all that is served, so that a damaged answer is an error and not a feature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from features.errors import SettingError, StoreError
from features.types import Claim, Completion, FinishReason, ModelIdentity, Stance, TextRequest, content_hash

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

CHUNK = 500
"""Keys per query: below SQLite's limit of bound values on any build."""
BUSY_MS = 30_000
"""How long a writer waits for another one (SQLite allows one at a time)."""
FORMAT = 2
"""Part of every checksum and of the table's name."""


@dataclass(frozen=True)
class KindSummary:
    """The accounts of one kind of request."""

    kind: str
    answers: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class LedgerSummary:
    """What was bought so far; seconds are of the model, summed over answers."""

    answers: int
    usable: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    kinds: tuple[KindSummary, ...]
    finishes: tuple[tuple[FinishReason, int], ...]


@dataclass(frozen=True)
class PastUse:
    """What the usable answers of one kind took, beside the length of what was asked: the rate of an estimate."""

    answers: int
    characters: int
    """Of the canonical requests."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """An answer that cannot be used, and why."""

    request_key: str
    kind: str
    subject: str
    finish: FinishReason
    note: str
    lines: tuple[str, ...]


class Ledger:
    """Remembers answers; opened at the first use and closed by `with` or `close`.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://user@host/database`.
        prefix: of the table's name, for several ledgers in one database.
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self.url, self.table_name = url, f"{prefix}answers_v{FORMAT}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; a later use opens them again."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
            del self._engine

    def record(self, request: TextRequest, completion: Completion) -> None:
        """Commits one answer. The first usable one under a key stays; a failed one gives way to a later.

        Two runs side by side may record the same key; neither fails and one answer remains. Raises StoreError.
        """
        if completion.request_key != request.key:
            raise StoreError(
                f"The answer belongs to request {completion.request_key}, not to {request.key}.",
                remedy="Report this: an engine mixed up its answers. Nothing was recorded.",
            )
        row = _to_row(request, completion)
        with self._begin("write to") as connection:
            insert = self._insert()(self._table).values(row)
            fresh = {name: insert.excluded[name] for name in row if name != "request_key"}
            unusable = self._table.c.finish != FinishReason.STOP.value
            connection.execute(insert.on_conflict_do_update(index_elements=["request_key"], set_=fresh, where=unusable))

    def find(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The usable answers under those keys. Raises StoreError naming the key of a damaged one."""
        table = self._table
        found: dict[str, Completion] = {}
        with self._begin("read") as connection:
            for chunk in _chunks(keys):
                query = table.select().where(table.c.request_key.in_(chunk), table.c.finish == FinishReason.STOP.value)
                for row in connection.execute(query).mappings():
                    found[row["request_key"]] = self._completion(dict(row))
        return found

    def failed(self, keys: Iterable[str]) -> dict[str, FinishReason]:
        """Which of those keys have an answer that cannot be used."""
        import sqlalchemy as sa

        table, found = self._table, {}
        with self._begin("read") as connection:
            for chunk in _chunks(keys):
                query = sa.select(table.c.request_key, table.c.finish).where(
                    table.c.request_key.in_(chunk), table.c.finish != FinishReason.STOP.value
                )
                found.update({key: FinishReason(finish) for key, finish in connection.execute(query)})
        return found

    def failures(self) -> list[Failure]:
        """The answers that cannot be used, oldest first."""
        table = self._table
        query = table.select().where(table.c.finish != FinishReason.STOP.value).order_by(table.c.created_at)
        with self._begin("read") as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Failure(
                row["request_key"],
                row["kind"],
                row["subject"],
                FinishReason(row["finish"]),
                row["note"],
                tuple(claim.text for claim in _from_json(row["claims"])),
            )
            for row in rows
        ]

    def summary(self) -> LedgerSummary:
        """What was bought so far."""
        import sqlalchemy as sa

        table = self._table
        sums = [sa.func.sum(table.c[name]) for name in ("prompt_tokens", "completion_tokens", "seconds")]
        by_kind = sa.select(table.c.kind, sa.func.count(), *sums).group_by(table.c.kind).order_by(table.c.kind)
        by_finish = sa.select(table.c.finish, sa.func.count()).group_by(table.c.finish).order_by(table.c.finish)
        with self._begin("read") as connection:
            kinds = tuple(KindSummary(*row) for row in connection.execute(by_kind))
            finishes = {FinishReason(name): count for name, count in connection.execute(by_finish)}
        return LedgerSummary(
            answers=sum(finishes.values()),
            usable=finishes.get(FinishReason.STOP, 0),
            prompt_tokens=sum(kind.prompt_tokens for kind in kinds),
            completion_tokens=sum(kind.completion_tokens for kind in kinds),
            seconds=sum(kind.seconds for kind in kinds),
            kinds=kinds,
            finishes=tuple(finishes.items()),
        )

    def exists(self) -> bool:
        """Whether there may be something to read; an SQLite ledger is a file, which every other method makes."""
        import sqlalchemy as sa

        url = sa.make_url(self.url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()

    def past_use(self, model: ModelIdentity) -> dict[str, PastUse]:
        """What that model's usable answers took, by kind of request."""
        import sqlalchemy as sa

        table = self._table
        lengths = sa.func.sum(sa.func.length(table.c.request))
        sums = [sa.func.sum(table.c[name]) for name in ("prompt_tokens", "completion_tokens", "seconds")]
        query = sa.select(table.c.kind, sa.func.count(), lengths, *sums).group_by(table.c.kind)
        mine = (table.c.model_name == model.name) & (table.c.model_revision == model.revision)
        with self._begin("read") as connection:
            rows = connection.execute(query.where(mine, table.c.finish == FinishReason.STOP.value)).all()
        return {
            kind: PastUse(n, int(length), int(prompt), int(completion), float(seconds))
            for kind, n, length, prompt, completion, seconds in rows
        }

    def forget(self, subjects: Sequence[str]) -> int:
        """Deletes all answers about those subjects (a consumer's right); returns how many there were."""
        table, n = self._table, 0
        with self._begin("write to") as connection:
            for chunk in _chunks(subjects):
                n += connection.execute(table.delete().where(table.c.subject.in_(chunk))).rowcount
        return n

    def _completion(self, row: dict[str, Any]) -> Completion:
        if _checksum(row) != row["checksum"]:
            raise StoreError(
                f"The answer under key {row['request_key']} in the ledger {self._shown} is damaged: "
                "its checksum does not fit.",
                remedy=f"Restore the ledger, or call forget([{row['subject']!r}]) to buy its answers again.",
            )
        return Completion(
            request_key=row["request_key"],
            claims=_from_json(row["claims"]),
            finish=FinishReason(row["finish"]),
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            seconds=row["seconds"],
            model=ModelIdentity(row["model_name"], row["model_revision"]),
            note=row["note"],
        )

    @contextmanager
    def _begin(self, what: str) -> Iterator[Connection]:
        """A transaction; the database's own errors become StoreError."""
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise StoreError(
                f"Could not {what} the ledger {self._shown}: {_cause(error)}.",
                remedy="Check that the file or the server is there, writable and undamaged; it is chosen by "
                "COUNTERPOINT_LEDGER_URL and keeps all answers recorded so far.",
            ) from error

    @property
    def _shown(self) -> str:
        """The URL without its password."""
        import sqlalchemy as sa

        return sa.make_url(self.url).render_as_string(hide_password=True)

    @cached_property
    def _engine(self) -> Engine:
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.url)
            dialect = url.get_backend_name()
        except sa.exc.ArgumentError as error:
            raise SettingError(
                "The ledger's URL cannot be read.",
                "It is like sqlite:////folder/ledger.sqlite or postgresql+psycopg://user@host/database.",
                "Correct COUNTERPOINT_LEDGER_URL.",
            ) from error
        if dialect not in ("sqlite", "postgresql"):
            raise SettingError(f"The ledger cannot live in {dialect!r}.", "It takes sqlite or postgresql+psycopg.")
        if dialect == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url)
        if dialect == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
        try:
            self._create(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _create(self, engine: Engine) -> None:
        """Makes the table if it is missing; another process may make it at the same moment."""
        import sqlalchemy as sa

        try:
            self._table.metadata.create_all(engine)
        except sa.exc.DBAPIError:
            if not sa.inspect(engine).has_table(self.table_name):
                raise

    @cached_property
    def _table(self) -> Table:
        import sqlalchemy as sa

        text, whole, real = sa.Text, sa.BigInteger, sa.Float(53)
        return sa.Table(
            self.table_name,
            sa.MetaData(),
            sa.Column("request_key", sa.String(64), primary_key=True),
            sa.Column("checksum", sa.String(64), nullable=False),
            sa.Column("request", text, nullable=False),
            sa.Column("kind", text, nullable=False),
            sa.Column("subject", text, nullable=False, index=True),
            sa.Column("claims", text, nullable=False),
            sa.Column("finish", sa.String(16), nullable=False),
            sa.Column("prompt_tokens", whole, nullable=False),
            sa.Column("completion_tokens", whole, nullable=False),
            sa.Column("seconds", real, nullable=False),
            sa.Column("model_name", text, nullable=False),
            sa.Column("model_revision", text, nullable=False),
            sa.Column("note", text, nullable=False),
            sa.Column("created_at", text, nullable=False),
        )

    def _insert(self) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT."""
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """The distinct values, at most `CHUNK` at a time."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), CHUNK):
        yield distinct[start : start + CHUNK]


def _to_row(request: TextRequest, completion: Completion) -> dict[str, Any]:
    row = {
        "request_key": completion.request_key,
        "request": request.canonical(),
        "kind": request.kind,
        "subject": request.subject,
        "claims": json.dumps([asdict(claim) for claim in completion.claims], ensure_ascii=False),
        "finish": completion.finish.value,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "seconds": completion.seconds,
        "model_name": completion.model.name,
        "model_revision": completion.model.revision,
        "note": completion.note,
        "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    return {**row, "checksum": _checksum(row)}


def _from_json(text: str) -> tuple[Claim, ...]:
    return tuple(
        Claim(item["text"], item["stance"] and Stance(item["stance"]), item["weight"], tuple(item["cites"]))
        for item in json.loads(text)
    )


def _checksum(row: dict[str, Any]) -> str:
    """Over everything but the checksum itself."""
    return content_hash(FORMAT, sorted((name, value) for name, value in row.items() if name != "checksum"))


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _cause(error: Exception) -> str:
    """The database's own words, without the statement and its values (prompts are not for logs)."""
    return " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
