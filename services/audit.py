"""The record of answers: what was asked, every feature the ranker saw, and what was answered, so it can be made again.

One file per answer, written whole and never changed: arrays as safetensors, the rest as JSON in its header. A
consumer's files lie in a folder of their own, named by a hash, so that forgetting the consumer takes them away.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from features.batch import FeatureBatch
from features.errors import InputError, StoreError
from features.types import content_hash
from services.schemas import RecommendRequest, RecommendResponse

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Record:
    """One answer, with all that it was made from and that is not of its release."""

    request: RecommendRequest
    batch: FeatureBatch
    """The consumer with every product that the ranker scored."""
    answer: RecommendResponse


class Audit:
    """The files under one folder."""

    def __init__(self, folder: Path, share: float, draw: Callable[[], float] = random.random) -> None:
        """`share`: of the answers, how many are kept: 0 none, 1 all."""
        self._folder, self._share, self._draw = folder, share, draw

    def wants_one(self) -> bool:
        """Whether this answer is among those that are kept."""
        return self._draw() < self._share

    def keep(self, record: Record) -> None:
        """Writes a record. Raises StoreError."""
        from safetensors.numpy import save_file

        from models.artifact import batch_to_parts

        arrays, ids = batch_to_parts(record.batch)
        texts = {
            "request": record.request.model_dump_json(by_alias=True),
            "ids": json.dumps(ids, ensure_ascii=False),
            "answer": record.answer.model_dump_json(),
        }
        folder = self._of_consumer(record.request.consumer_id or "")
        half = folder / f".half-{record.answer.recommendation_id}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(arrays, half, metadata=texts)
            os.replace(half, folder / f"{record.answer.recommendation_id}{SUFFIX}")
        except OSError as error:
            raise StoreError(f"The record of an answer could not be written under {self._folder}: {error}.") from error

    def read(self, recommendation_id: str) -> Record:
        """The record of an answer. Raises InputError if none was kept, StoreError if it is damaged."""
        from safetensors import SafetensorError, safe_open

        from models.artifact import batch_from_parts

        path = next((it for it in self._folder.glob(f"*/*{SUFFIX}") if it.stem == recommendation_id), None)
        if path is None:
            raise InputError(
                f"There is no record of the answer {recommendation_id}.",
                remedy="COUNTERPOINT_AUDIT gives the share that is recorded; forgetting a consumer deletes theirs.",
            )
        try:
            with safe_open(path, "numpy") as file:
                texts, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Record(
                RecommendRequest.model_validate_json(texts["request"]),
                batch_from_parts(arrays, json.loads(texts["ids"])),
                RecommendResponse.model_validate_json(texts["answer"]),
            )
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise StoreError(f"The record {path} is damaged: {error}.") from error

    def forget(self, consumer_id: str) -> None:
        """Deletes every record of a consumer."""
        shutil.rmtree(self._of_consumer(consumer_id), ignore_errors=True)

    def _of_consumer(self, consumer_id: str) -> Path:
        return self._folder / content_hash(consumer_id)
