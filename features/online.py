"""What Feast's interface to an online store leaves out: which rows the store holds, and taking rows away.

Names and encodings are Feast's own and come from `features/store.py`; this file knows where SQLite and Redis keep
them. Redis keeps all views of an entity in one hash, so there a row is some fields of a key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from redis import Redis

AT_ONCE = 1_000
"""Keys of one round trip."""
WAIT_SECONDS = 30.0
"""How long a delete waits for a reader of the SQLite file."""


@dataclass(frozen=True)
class Place:
    """Where the rows of one view lie: Feast's names and encodings."""

    table: str
    """SQLite: the view's table."""
    prefix: bytes
    """Redis: how the keys of these entities begin,"""
    suffix: bytes
    """and how the project's keys end."""
    version_field: bytes
    """Redis: the field with the version,"""
    fields: tuple[bytes, ...]
    """and all fields of a row."""


class OnlineTables(Protocol):
    """The rows of an online store by view. Keys are entity keys and versions are values as Feast encodes both."""

    def versions(self, place: Place) -> dict[bytes, bytes]:
        """The version of every row of a view."""
        ...

    def delete(self, place: Place, keys: Sequence[bytes]) -> None:
        """Takes rows away; keys without a row are ignored."""
        ...

    def compact(self) -> None:
        """Leaves no byte of what was deleted or replaced behind."""
        ...


class SqliteTables:
    """Feast's SQLite file: a table per view, a line per entity key and feature."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def versions(self, place: Place) -> dict[bytes, bytes]:
        with self._connected() as connection:
            query = f"SELECT entity_key, value FROM \"{place.table}\" WHERE feature_name = 'version'"
            return dict(connection.execute(query))

    def delete(self, place: Place, keys: Sequence[bytes]) -> None:
        with self._connected() as connection:
            query = f'DELETE FROM "{place.table}" WHERE entity_key = ?'
            connection.executemany(query, [(key,) for key in keys])
            connection.commit()

    def compact(self) -> None:
        with self._connected() as connection:
            connection.execute("VACUUM")  # a deleted line stays readable in the file until its page is used again

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=WAIT_SECONDS)) as connection:
            yield connection


class RedisTables:
    """Feast's keys in Redis: `<entity key><project>`, a hash with the fields of all views of the entity."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def versions(self, place: Place) -> dict[bytes, bytes]:
        pattern = place.prefix + b"*" + place.suffix
        keys: list[bytes] = list(self._client.scan_iter(match=pattern, count=AT_ONCE))
        found: dict[bytes, bytes] = {}
        for part in _parts(keys):
            with self._client.pipeline(transaction=False) as pipe:
                for key in part:
                    pipe.hget(key, place.version_field)  # type: ignore[arg-type]  # bytes
                values = pipe.execute()
            stored = zip(part, values, strict=True)
            found |= {key.removesuffix(place.suffix): value for key, value in stored if value is not None}
        return found

    def delete(self, place: Place, keys: Sequence[bytes]) -> None:
        for part in _parts(keys):
            with self._client.pipeline(transaction=False) as pipe:
                for key in part:
                    pipe.hdel(key + place.suffix, *place.fields)  # type: ignore[arg-type]  # bytes; an empty hash is gone
                pipe.execute()

    def compact(self) -> None:
        """Nothing to do: Redis frees what was deleted."""


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
