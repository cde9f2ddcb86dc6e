"""The lake: named Parquet tables under one folder, each written whole and atomically (`parts.py` has those that grow).

A table carries the hash of what it was made from (`made_from`), so that a stage can tell whether its output is
still the right one without reading it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import StoreError

MADE_FROM = b"counterpoint.made_from"


class Lake:
    """Reads and writes named tables; a name may hold a folder (`features/consumer`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where a table lies."""
        return self.folder / f"{name}.parquet"

    def has(self, name: str) -> bool:
        """Whether the table exists."""
        return self.path(name).exists()

    def write(self, name: str, frame: pd.DataFrame, made_from: str) -> None:
        """Replaces a table; readers see the old one or the new one, never half. Raises StoreError."""
        path = self.path(name)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), MADE_FROM: made_from.encode()})
        half = path.with_suffix(".half")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, half)
            os.replace(half, path)
        except OSError as error:
            half.unlink(missing_ok=True)
            raise StoreError(
                f"The lake table {path} could not be written: {error}.",
                remedy="Check the free space and the permissions of COUNTERPOINT_HOME; the old table is intact.",
            ) from error

    def read(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A table as it was written, or some of its columns. Raises StoreError if it is missing or damaged."""
        with self._reading(name) as path:
            return pq.read_table(path, columns=columns).to_pandas()

    def n_rows(self, name: str) -> int:
        """How many rows a table has. Raises StoreError if it is missing or damaged."""
        with self._reading(name) as path:
            return int(pq.read_metadata(path).num_rows)

    def read_where(self, name: str, column: str, values: Collection[str]) -> pd.DataFrame:
        """The rows with one of the values in a column; without any such row no other column is read.

        Raises:
            StoreError: the table is missing or damaged.
        """
        with self._reading(name) as path, pq.ParquetFile(path) as file:
            found = pc.is_in(file.read([column])[column], value_set=pa.array(list(values), pa.string()))
            rows = file.read() if pc.any(found).as_py() else file.schema_arrow.empty_table()
            return (rows.filter(found) if len(rows) else rows).to_pandas()

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Where a table lies, with the errors of those who read it."""
        path = self.path(name)
        try:
            yield path
        except FileNotFoundError as error:
            raise StoreError(
                f"The lake has no table {name!r} under {self.folder}.",
                remedy="Run the stage that makes it (`counterpoint run` does all of them in order).",
            ) from error
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"The lake table {path} is damaged: {error}.",
                remedy="Delete the file and run the stage again; language-model answers are in the ledger.",
            ) from error

    def kept(self, name: str, made_from: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A table made from those inputs: the one that is there, or a new one."""
        if self.made_from(name) != made_from:
            self.write(name, make(), made_from)
        return self.read(name)

    def delete(self, name: str) -> None:
        """Takes a table away, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def made_from(self, name: str) -> str:
        """The hash a table was written with, or an empty string if there is no readable table."""
        try:
            metadata = pq.read_schema(self.path(name)).metadata or {}
        except (OSError, pa.ArrowInvalid):
            return ""
        return metadata.get(MADE_FROM, b"").decode()
