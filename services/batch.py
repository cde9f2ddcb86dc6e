"""Scores of a consumer set, written to a file: the live release's scorer and features, as the endpoint uses them.

The work goes in shards of consumers. A finished shard is a file beside the output and is not scored again when a
stopped job goes on; only one shard is ever in memory. All of a job is asked as of one time, its start, so that a
resumed job's file is the one it would have been. A job of another release, other ids or other choices starts anew.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import InputError, StoreError
from features.types import content_hash
from models.base import Progress, silent
from services.reranking import best_first
from services.runtime import Runtime

ROWS = 200_000
"""Rows of a shard, about: what bounds the memory."""
FORMATS = (".parquet", ".csv")
JOB = "job.json"
SCHEMA = pa.schema(
    [
        ("consumer_id", pa.string()),
        ("product_id", pa.string()),
        ("rank", pa.int32()),
        ("rating", pa.float32()),
        ("click", pa.float32()),
        ("release_id", pa.string()),
    ]
)
"""One row per pair, of each consumer the most likely liked first."""


@dataclass(frozen=True)
class BatchRequest:
    """What is scored."""

    consumer_ids: Sequence[str]
    product_ids: Sequence[str]
    """Scored in this order; the company of a pair may move the last bits of its score."""
    k: int = 0
    """Products kept of each consumer; 0 is all."""
    exclude_seen: bool = False
    """Whether the consumer's last products are left out, as `/v1/recommend` does."""

    def shards(self, rows: int) -> list[Sequence[str]]:
        """The consumers in parts of about that many rows."""
        each = min(self.k, len(self.product_ids)) if self.k else len(self.product_ids)
        size = max(rows // max(each, 1), 1)
        return [self.consumer_ids[start : start + size] for start in range(0, len(self.consumer_ids), size)]


class _Job(BaseModel):
    """What a folder of shards is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_id: str
    request: str
    """Hash of what is scored, and in which shards."""
    as_of: datetime


class BatchReport(BaseModel):
    """What was written."""

    out: str
    release_id: str
    as_of: datetime
    """When every question was asked: features that age are as of then."""
    consumers: int
    products: int
    rows: int
    shards: int
    shards_found: int
    """Those that an earlier, stopped run had finished."""
    seconds: float


def score_batch(
    runtime: Runtime,
    request: BatchRequest,
    out: Path,
    progress: Progress = silent,
    at: datetime | None = None,
    rows_per_shard: int = ROWS,
) -> BatchReport:
    """Scores and writes; goes on where the same job was stopped.

    Args:
        runtime: of the live release.
        request: what is scored.
        out: `.parquet` or `.csv`; replaced when all is done.
        progress: told of consumers done.
        at: when the questions are asked; by default now.
        rows_per_shard: about how many rows one shard has.

    Raises:
        InputError: the file's kind is unknown, there is nothing to score, or a product is unknown.
        StoreError: a consumer could not be scored, or the disk failed.
    """
    _check(runtime, request, out)
    started = time.monotonic()
    shards = request.shards(rows_per_shard)
    with _disk_errors(out):
        folder = out.with_name(f"{out.name}.shards")
        job = _open_job(
            folder, runtime.release.release_id, content_hash(list(map(list, shards)), *_choices(request)), at
        )
        found, done = 0, 0
        for n, consumer_ids in enumerate(shards):
            path = folder / f"{n:06}.parquet"
            if path.exists():
                found += 1
            else:
                _write_shard(path, [_scored(runtime, request, it, job.as_of) for it in consumer_ids])
            done += len(consumer_ids)
            progress("score", done, len(request.consumer_ids))
        rows = _join(folder, len(shards), out)
        shutil.rmtree(folder)
    return BatchReport(
        out=str(out),
        release_id=job.release_id,
        as_of=job.as_of,
        consumers=len(request.consumer_ids),
        products=len(request.product_ids),
        rows=rows,
        shards=len(shards),
        shards_found=found,
        seconds=round(time.monotonic() - started, 1),
    )


def _check(runtime: Runtime, request: BatchRequest, out: Path) -> None:
    if out.suffix not in FORMATS:
        raise InputError(f"The output is {out.name}.", f"Its name must end with {' or '.join(FORMATS)}.")
    if not request.consumer_ids or not request.product_ids:
        raise InputError(
            f"There are {len(request.consumer_ids)} consumers and {len(request.product_ids)} products to score.",
            "Both must be at least one.",
        )
    known = set(runtime.product_ids)
    if unknown := [product_id for product_id in request.product_ids if product_id not in known]:
        raise InputError(
            f"{len(unknown)} products are not in the release {runtime.release.release_id}: {', '.join(unknown[:5])}.",
            remedy="Leave them out, or run `counterpoint refresh` if they are new.",
        )


def _choices(request: BatchRequest) -> tuple[list[str], int, bool]:
    return list(request.product_ids), request.k, request.exclude_seen


def _open_job(folder: Path, release_id: str, request: str, at: datetime | None) -> _Job:
    """The stopped job of that folder if it is the same one, else a new one in an empty folder."""
    job = _Job(release_id=release_id, request=request, as_of=at or datetime.now(UTC))
    try:
        known = _Job.model_validate_json((folder / JOB).read_bytes())
    except (FileNotFoundError, ValidationError):
        known = None
    if known and known.model_copy(update={"as_of": job.as_of}) == job and at in (None, known.as_of):
        return known
    if folder.exists() and not (folder / JOB).exists():
        raise InputError(f"{folder} is in the way and is no stopped job.", remedy="Move it, or give another --out.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
    return job


def _scored(runtime: Runtime, request: BatchRequest, consumer_id: str, at: datetime) -> pa.Table:
    """One consumer with all products of the request at once, best first."""
    scores, seen = runtime.score_strictly(consumer_id, request.product_ids, at)
    order = best_first(scores)
    if request.exclude_seen:
        order = order[[request.product_ids[n] not in seen for n in order]]
    order = order[: request.k or None]
    return pa.table(
        [
            [consumer_id] * len(order),
            [request.product_ids[n] for n in order],
            np.arange(1, len(order) + 1, dtype=np.int32),
            scores.rating[order],
            scores.click[order],
            [runtime.release.release_id] * len(order),
        ],
        schema=SCHEMA,
    )


def _write_shard(path: Path, parts: Sequence[pa.Table]) -> None:
    """Writes a shard whole or not at all."""
    half = path.with_suffix(".half")
    pq.write_table(pa.concat_tables(parts), half)
    os.replace(half, path)


def _join(folder: Path, n_shards: int, out: Path) -> int:
    """All shards in order as one file, which appears whole; returns its rows."""
    half = folder / f"joined{out.suffix}"
    writer = pq.ParquetWriter(half, SCHEMA) if out.suffix == ".parquet" else pa_csv.CSVWriter(half, SCHEMA)
    rows = 0
    with writer:
        for n in range(n_shards):
            table = pq.read_table(folder / f"{n:06}.parquet", schema=SCHEMA)
            writer.write_table(table)
            rows += table.num_rows
    os.replace(half, out)
    return rows


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Turns what the disk refuses into a StoreError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"The scores could not be written to {out}: {error}.",
            remedy="Check free space and permissions there. Finished shards are kept: the same command goes on.",
        ) from error
