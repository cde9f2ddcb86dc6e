"""Tables of the lake that grow: each addition is a part of its own, so that it costs what it adds.

A part is a table `<name>/<random>` of the lake, written whole or not at all, and changed only by leaving rows out.
Where parts become many, small ones are put together into one, which is there before they go: who is killed in between
leaves rows twice, never half and never nowhere. Writers wait for each other, and readers for writers.
"""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pandas as pd

from features.errors import StoreError
from features.lake import Lake

MANY = 32
"""Parts after which small ones are put together: each costs a reader a few milliseconds."""


@dataclass(frozen=True)
class Parts:
    """One such table. A table of that name in one piece, as earlier versions wrote it, counts as a part.

    Rows that were made from something else are not taken up, and go when rows are forgotten; so do damaged parts.
    """

    lake: Lake
    table: str
    key: str
    """Name of the column of strings that finds a row; rows with the same key are the same."""
    made_from: str

    def read(self, keys: Collection[str]) -> pd.DataFrame:
        """The rows of those keys, as far as there are any. Raises StoreError."""
        with self._locked(fcntl.LOCK_SH):
            return self._joined([self.lake.read_where(name, self.key, keys) for name in self._own()])

    def add(self, rows: pd.DataFrame) -> None:
        """Adds rows. Raises StoreError if they could not be written; what was there is intact."""
        with self._alone():
            self._write(rows)
            if len(own := self._own()) > MANY:
                self._put_together(own)

    def keep_only(self, keys: Collection[str]) -> None:
        """Forgets the rows of all other keys. Raises StoreError."""
        with self._alone():
            own = self._own()
            for name in self._names():
                kept = self.lake.read(name, [self.key])[self.key].isin(keys) if name in own else pd.Series([False])
                if not kept.any():
                    self.lake.delete(name)
                elif not kept.all():
                    self.lake.write(name, self.lake.read(name)[kept], self.made_from)

    def _put_together(self, parts: Sequence[str]) -> None:
        """Makes one part of small ones: all up to the last that has no more rows than those below it together.

        A row is then written again only into a part at least twice as large: n rows, at most log2(n) times.
        """
        sizes = sorted((self.lake.n_rows(name), name) for name in parts)
        below = [0, *accumulate(n for n, _ in sizes)]
        n_small = max((place + 1 for place, (n, _) in enumerate(sizes) if n <= below[place]), default=0)
        small = [name for _, name in sizes[:n_small]]
        if small:
            self._write(self._joined([self.lake.read(name) for name in small]))
        for name in small:
            self.lake.delete(name)

    def _joined(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({self.key: []})
        return rows.drop_duplicates(self.key, ignore_index=True)

    def _write(self, rows: pd.DataFrame) -> None:
        self.lake.write(f"{self.table}/{secrets.token_hex(8)}", rows, self.made_from)

    def _own(self) -> list[str]:
        """Names of the parts that were made from the same."""
        return [name for name in self._names() if self.lake.made_from(name) == self.made_from]

    def _names(self) -> list[str]:
        """Names of all parts, as tables of the lake."""
        whole = [self.table] if self.lake.has(self.table) else []
        return whole + [f"{self.table}/{path.stem}" for path in sorted(self._folder.glob("*.parquet"))]

    @property
    def _folder(self) -> Path:
        return self.lake.folder / self.table

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Waits for all others; what lies half written is of somebody who was killed."""
        with self._locked(fcntl.LOCK_EX):
            for half in self._folder.glob("*.half"):
                half.unlink()
            yield

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / ".lock").open("w")
        except OSError as error:
            raise StoreError(
                f"The lake table {self._folder} cannot be opened: {error}.",
                remedy="Check the permissions of COUNTERPOINT_HOME.",
            ) from error
        with file:
            fcntl.flock(file, how)
            yield
