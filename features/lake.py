"""The lake: named Parquet tables under one folder, each written whole and atomically.

A table carries the hash of what it was made from (`made_from`), so that a stage can tell whether its output is
still the right one without reading it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
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

    def read(self, name: str) -> pd.DataFrame:
        """A table as it was written. Raises StoreError if it is missing or damaged."""
        path = self.path(name)
        try:
            return pq.read_table(path).to_pandas()
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
