"""An answer as a row and back, with a checksum over all of it: a damaged answer is an error and not a feature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from features.errors import StoreError
from features.ledger.database import FORMAT
from features.types import Claim, Completion, FinishReason, ModelIdentity, Stance, TextRequest, content_hash


def to_row(request: TextRequest, completion: Completion, run_id: str) -> dict[str, Any]:
    """The columns of `answers` and `unserved`."""
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
        "created_at": now(),
        "run_id": run_id,
    }
    return {**row, "checksum": _checksum(row)}


def to_completion(row: Mapping[str, Any], shown: str) -> Completion:
    """The answer of a row of the ledger `shown`. Raises StoreError, naming the key, if it is damaged."""
    if _checksum(row) != row["checksum"]:
        raise StoreError(
            f"The answer under key {row['request_key']} in the ledger {shown} is damaged: its checksum does not fit.",
            remedy=f"Restore the ledger, or call forget([{row['subject']!r}]) to buy its answers again.",
        )
    return Completion(
        request_key=row["request_key"],
        claims=tuple(
            Claim(item["text"], item["stance"] and Stance(item["stance"]), item["weight"], tuple(item["cites"]))
            for item in json.loads(row["claims"])
        ),
        finish=FinishReason(row["finish"]),
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        seconds=row["seconds"],
        model=ModelIdentity(row["model_name"], row["model_revision"]),
        note=row["note"],
    )


def now() -> str:
    """The time of a row: UTC in ISO format, so that text order is the order of time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _checksum(row: Mapping[str, Any]) -> str:
    """Over everything but the checksum itself and the number the database gives."""
    return content_hash(FORMAT, sorted((name, value) for name, value in row.items() if name not in ("checksum", "id")))
