"""`counterpoint score`: whom and what to score, read from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError
from features.lake import Lake
from features.settings import HostSettings

if TYPE_CHECKING:
    from services.batch import BatchReport

ALL = "all"


def score_here(
    settings: HostSettings, consumers: str, products: str, out: Path, k: int, exclude_seen: bool
) -> BatchReport:
    """Scores with the live release in this process.

    Args:
        settings: of the home.
        consumers: a file of ids, or `all` who have interactions.
        products: a file of ids, or `all` of the release.
        out: where the scores go.
        k: products kept of each consumer; 0 is all.
        exclude_seen: whether what a consumer had lately is left out.

    Raises:
        InputError: a file cannot be used.
        ReleaseError, StoreError: nothing is live, or something of it cannot be read.
    """
    from flows.workspace import show_progress
    from services.batch import BatchRequest, score_batch
    from services.recommend import open_live

    if k < 0:
        raise InputError(f"-k is {k}.", "It must be 0 (all products) or more.")
    runtime = open_live()
    everyone = consumers == ALL
    request = BatchRequest(
        consumer_ids=known_consumers(settings) if everyone else read_ids(Path(consumers), "consumer_id"),
        product_ids=runtime.product_ids if products == ALL else read_ids(Path(products), "product_id"),
        k=k,
        exclude_seen=exclude_seen,
    )
    return score_batch(runtime, request, out, show_progress())


def known_consumers(settings: HostSettings) -> list[str]:
    """Everyone with an interaction, in order of id."""
    return sorted(map(str, Lake(settings.lake).read("interactions")["consumer_id"].unique()))


def read_ids(path: Path, column: str) -> list[str]:
    """The ids of a file, each once, in its order.

    Args:
        path: a Parquet or CSV file with that column, or a text file with an id per line.
        column: its name.

    Raises:
        InputError: the file cannot be read, or has no such column or no id.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            ids = pd.read_parquet(path, columns=[column])[column].dropna().astype(str)
        elif path.suffix == ".csv":
            ids = pd.read_csv(path, usecols=[column], dtype=str, keep_default_na=False)[column]
        else:
            ids = pd.Series(path.read_text(encoding="utf-8-sig").splitlines(), dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The ids in {path} cannot be read: {error}.",
            f"It must be a Parquet or CSV file with a column {column}, or a text file with an id per line.",
        ) from error
    stripped = (text.strip() for text in ids)
    found = list(dict.fromkeys(text for text in stripped if text))
    if not found:
        raise InputError(f"There is no id in {path}.")
    return found
