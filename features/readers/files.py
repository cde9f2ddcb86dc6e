"""Opening source files: delimited text, JSON lines and Parquet, plain or gzipped, with errors that say where."""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from features.errors import InputError
from features.readers.dataset import CONTENT_LENGTH, QUARANTINE_COLUMNS

UTF8 = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""
PRICE_BANDS = (10, 25, 50, 100, 250)
_PERSON = re.compile(r'("reviewerName"\s*:\s*)"(?:[^"\\]|\\.)*"?')


def find_file(folder: Path, *names: str) -> Path:
    """The first of the named files that lies in a folder. Raises InputError listing what lies there instead."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder} has no file {' or '.join(names)}; it holds {listing(folder)}.",
        "Each layout has fixed file names.",
        "Name the right folder, or choose another layout.",
    )


def only_file(source: Path, found: list[Path], kind: str) -> Path:
    """The one file of a kind that a folder holds. Raises InputError if there is none or a choice."""
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"{source} holds {len(found)} {kind} ({listing(source)}).",
        "A folder in this layout holds just one.",
        "Name the file itself, or choose another layout.",
    )


def listing(folder: Path) -> str:
    """The names in a folder, for messages."""
    if not folder.is_dir():
        return "nothing (there is no such folder)"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"


@contextmanager
def reading(path: Path, encoding: str = UTF8) -> Iterator[None]:
    """Turns what can go wrong with a file into an InputError that names the place."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, encoding) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", remedy="Check the path.") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty.", remedy="Give a file with a header and at least one row.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(
            f"{path} cannot be taken apart: {str(error).strip().rstrip('.')}.",
            "Every line has the same number of fields.",
            "Quote fields that hold the separator, or remove the line.",
        ) from error
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}.", remedy="Check or replace the file.") from error


def open_text(path: Path, encoding: str = UTF8) -> IO[str]:
    """A text stream of a plain or gzipped file."""
    return gzip.open(path, "rt", encoding=encoding) if path.suffix == ".gz" else open(path, encoding=encoding)


def read_delimited(
    path: Path, separator: str, columns: list[str] | None = None, encoding: str = UTF8, quoted: bool = True
) -> pd.DataFrame:
    """A delimited file with every value as text, missing ones as NaN.

    Args:
        columns: names of the columns of a file that has no header.
        quoted: whether quotation marks enclose fields; otherwise they are part of the text.
    """
    with reading(path, encoding), warnings.catch_warnings():
        # If the first line of all has too many fields, pandas warns and cuts them off.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=separator,
            header=None if columns else 0,
            names=columns,
            index_col=False,
            dtype=str,
            encoding=encoding,
            keep_default_na=False,
            na_values=[""],
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            low_memory=False,  # one pass, so that equal texts share one object
        )


def read_records(
    path: Path, take: Callable[[dict[str, Any]], dict[str, Any]], parse: Callable[[str], Any] = json.loads
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """JSON lines, blank lines not counted.

    Returns:
        What `take` kept of each record, with its `row`; and the lines that are no JSON object, as quarantine.
    """
    records: list[dict[str, Any]] = []
    rejected: list[tuple[str, int, str, str]] = []
    row = -1
    with reading(path), open_text(path) as lines:
        for line in lines:
            if not line.strip():
                continue
            row += 1
            try:
                record = parse(line)
            except (ValueError, SyntaxError):
                record = None
            if isinstance(record, dict):
                records.append({**take(record), "row": row})
            else:
                content = _PERSON.sub(r'\1"..."', line.strip())[:CONTENT_LENGTH]
                rejected.append((path.name, row, "the line is not a JSON object", content))
    return pd.DataFrame(records), pd.DataFrame(rejected, columns=list(QUARANTINE_COLUMNS))


def plain_text(value: object) -> str:
    """Text without HTML entities, line-break tags and doubled spaces; lists are joined; missing is empty."""
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(plain_text, value)))
    if not isinstance(value, str):
        return "" if value is None or value != value else str(value)
    return " ".join(html.unescape(re.sub(r"<br\s*/?>", " ", html.unescape(value))).split())


def price_band(value: object) -> str:
    """A price such as `19.56`, `$1,200` or `$5 - $9` (its lower end) as a band; empty if there is none."""
    found = re.search(r"\d[\d,]*(?:\.\d+)?", plain_text(value))
    if not found:
        return ""
    price = float(found.group().replace(",", ""))
    lower = 0
    for upper in PRICE_BANDS:
        if price < upper:
            return f"{lower} to {upper}" if lower else f"under {upper}"
        lower = upper
    return f"{lower} and more"


def attribute_rows(ids: pd.Series, name: str, values: pd.Series, key: str = "product_id") -> pd.DataFrame:
    """Attributes in long form, with the ids in the column `key`; a list gives one row per element."""
    frame = pd.DataFrame({key: ids.to_numpy(), "name": name, "value": values.to_numpy()})
    return frame.explode("value").dropna(subset=["value"])


def _wrong_encoding(path: Path, encoding: str) -> InputError:
    """Finds the first byte that does not fit, so that the message can name it."""
    offset, place = 0, ""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                place = f"byte {offset + error.start} (0x{line[error.start]:02x}), in line {number}"
                break
            offset += len(line)
    likely = "utf-16" if place.startswith(("byte 0 (0xff)", "byte 0 (0xfe)")) else "latin1"
    return InputError(
        f"{path} is not {'UTF-8' if encoding == UTF8 else encoding}: it fails at {place}.",
        "Text files are UTF-8 (MovieLens 100K and 1M: latin-1).",
        f"Convert it, for instance: iconv -f {likely} -t utf-8 {path.name} > converted && mv converted {path.name}",
    )
