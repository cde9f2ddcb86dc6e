"""Where the ledger lives: its tables, its connections, and the database's errors as StoreError.

SQLite runs in WAL mode with synchronous=FULL: an answer that was reported as recorded survives a power cut, and one
fsync (a few ms) is nothing beside the seconds an answer takes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import SettingError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Engine, MetaData, Table

FORMAT = 3
"""Part of every checksum and of the tables' names."""
BUSY_MS = 30_000
"""How long a writer waits for another one (SQLite allows one at a time)."""


class Database:
    """The ledger's tables in one database; opened at the first use.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://user@host/database`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._checked = False

    def close(self) -> None:
        """Closes all connections; a later use opens them again."""
        for name in ("_engine", "_nothing"):
            if engine := self.__dict__.pop(name, None):
                engine.dispose()
        self._checked = False

    @contextmanager
    def begin(self, what: str) -> Iterator[Connection]:
        """A transaction; the database's own errors become StoreError, which says what could not be done.

        To "read" what is not there yet makes no file: an empty ledger in memory answers.
        """
        import sqlalchemy as sa

        try:
            engine = self._nothing if what == "read" and self._is_absent() else self._engine
            with engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError, UnicodeDecodeError) as error:  # the last: a damaged name in an error
            raise self._broken(what, _cause(error)) from error

    def check(self) -> None:
        """Raises StoreError if a SQLite file is damaged anywhere: a key in a broken page would seem to be unknown.

        It reads the whole file (about 3 s per 100,000 answers), so only once. PostgreSQL looks after its own pages.
        """
        if self._checked:
            return
        with self.begin("read") as connection:
            sqlite = connection.dialect.name == "sqlite"
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one() if sqlite else "ok"
        if found != "ok":
            raise self._broken("read", f"the file is damaged ({' '.join(found.split())})")
        self._checked = True

    def insert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT."""
        from sqlalchemy.dialects import postgresql, sqlite

        return (sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert)(table)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        import sqlalchemy as sa

        return sa.make_url(self.url).render_as_string(hide_password=True)

    @cached_property
    def answers(self) -> Table:
        """Usable answers, one per key."""
        import sqlalchemy as sa

        return self._make("answers", sa.Column("request_key", sa.String(64), primary_key=True), *_answer_columns())

    @cached_property
    def unserved(self) -> Table:
        """What was bought and is not served, in the order of its arrival."""
        import sqlalchemy as sa

        number = sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
        key = sa.Column("request_key", sa.String(64), nullable=False, index=True)
        return self._make("unserved", number, key, *_answer_columns())

    @cached_property
    def runs(self) -> Table:
        """The meter: one row per call that buys."""
        import sqlalchemy as sa

        counts = ("asked", "from_ledger", "known_failures", "bought", "failed", "prompt_tokens", "completion_tokens")
        return self._make(
            "runs",
            sa.Column("run_id", sa.String(32), primary_key=True),
            sa.Column("owner", sa.Text, nullable=False),
            sa.Column("beat", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("started_at", sa.Text, nullable=False),
            sa.Column("ended_at", sa.Text, index=True),
            *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in counts),
            sa.Column("seconds", sa.Float(53), nullable=False, server_default="0"),
        )

    @cached_property
    def reservations(self) -> Table:
        """Which run is buying which key."""
        import sqlalchemy as sa

        return self._make(
            "reservations",
            sa.Column("request_key", sa.String(64), primary_key=True),
            sa.Column("run_id", sa.String(32), nullable=False, index=True),
        )

    @cached_property
    def _metadata(self) -> MetaData:
        import sqlalchemy as sa

        return sa.MetaData()

    def _make(self, name: str, *columns: Column[Any]) -> Table:
        import sqlalchemy as sa

        return sa.Table(f"{name}_v{FORMAT}", self._metadata, *columns)

    @property
    def _tables(self) -> list[Table]:
        return [self.answers, self.unserved, self.runs, self.reservations]

    def _is_absent(self) -> bool:
        """Whether the SQLite file is still to be made by the first answer."""
        return "_engine" not in self.__dict__ and self._file is not None and not self._file.exists()

    @cached_property
    def _nothing(self) -> Engine:
        """An empty ledger, of one connection: each further one would have a memory of its own."""
        import sqlalchemy as sa

        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
        self._create(engine)
        return engine

    @cached_property
    def _file(self) -> Path | None:
        """The file of a SQLite ledger. Raises SettingError."""
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
        name = url.database if dialect == "sqlite" else None
        return Path(name) if name and not name.startswith("file:") else None

    @cached_property
    def _engine(self) -> Engine:
        if self._file is not None:
            self._make_file(self._file)
        engine = _connect(self.url)
        try:
            self._create(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _make_file(self, path: Path) -> None:
        """Makes a new file with its tables elsewhere and moves it here: so an empty file here was cut off, not new."""
        if path.exists():
            if path.stat().st_size == 0:
                raise self._broken(
                    "read", "the file is empty, its contents are lost; restore it, or remove it to begin a new one"
                )
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        engine = _connect(f"sqlite:///{draft}")
        try:
            self._create(engine)
            engine.dispose()  # the last connection moves the write-ahead log into the file
            if not path.exists():
                os.link(draft, path)
        except OSError:
            pass  # another run was quicker, or this file system knows no links: then it is made in its place
        finally:
            draft.unlink(missing_ok=True)

    def _create(self, engine: Engine) -> None:
        """Makes the tables that are missing; another process may make them at the same moment."""
        import sqlalchemy as sa

        tables = self._tables
        try:
            self._metadata.create_all(engine)
        except sa.exc.DBAPIError:
            inspector = sa.inspect(engine)
            if not all(inspector.has_table(table.name) for table in tables):
                raise

    def _broken(self, what: str, cause: str) -> StoreError:
        return StoreError(
            f"Could not {what} the ledger {self.shown}: {cause}.",
            remedy="Check that the file or the server is there, writable, undamaged and has room; it is chosen by "
            "COUNTERPOINT_LEDGER_URL and keeps all answers recorded so far.",
        )


def _answer_columns() -> list[Column[Any]]:
    """The long texts stand last, so that the accounts are read without them."""
    import sqlalchemy as sa

    text, whole = sa.Text, sa.BigInteger
    return [
        sa.Column("checksum", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("created_at", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("subject", text, nullable=False, index=True),
        sa.Column("model_name", text, nullable=False),
        sa.Column("model_revision", text, nullable=False),
        sa.Column("finish", sa.String(16), nullable=False),
        sa.Column("prompt_tokens", whole, nullable=False),
        sa.Column("completion_tokens", whole, nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("note", text, nullable=False),
        sa.Column("claims", text, nullable=False),
        sa.Column("request", text, nullable=False),
    ]


def _connect(url: str) -> Engine:
    import sqlalchemy as sa

    engine = sa.create_engine(url, pool_pre_ping=True)  # a server that was restarted meanwhile is no error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _cause(error: Exception) -> str:
    """The database's own words, without the statement and its values (prompts are not for logs)."""
    return " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
