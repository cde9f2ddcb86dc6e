"""Personal data does not enter a prompt: measured on generated sentences of many kinds and formats."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.personal import Labelled, sentences
from benchmarks.proofs import Proof
from features.redaction import personal
from features.sentences import spoken_title

MIN_RECALL, MAX_FALSE = 0.99, 0.01


def prove() -> Proof:
    """6,000 generated sentences, and the titles of real catalogs where COUNTERPOINT_DATA names them."""
    figures = measure(sentences(6000)) | {"titles_changed": titles_changed()}
    kept = figures["recall"] >= MIN_RECALL and figures["false_alarms"] <= MAX_FALSE
    return Proof("personal data is removed before the call: recall 99 %, false alarms at most 1 %", kept, figures)


def measure(labelled: Iterable[Labelled]) -> dict[str, Any]:
    """Recall, all and by kind, and the share of harmless sentences that would be removed."""
    seen, missed, examples = Counter[str](), Counter[str](), []
    for one in labelled:
        seen[one.kind] += 1
        if bool(personal(one.text)) != bool(one.kind):
            missed[one.kind] += 1
            examples.append(f"{one.kind or 'harmless'}: {one.text}")
    harmless, held = seen.pop(""), missed.pop("", 0)
    return {
        "sentences": sum(seen.values()) + harmless,
        "recall": round(1 - sum(missed.values()) / sum(seen.values()), 4),
        "recall_by_kind": {kind: round(1 - missed[kind] / n, 4) for kind, n in sorted(seen.items())},
        "false_alarms": round(held / harmless, 4),
        "wrong": examples[:20],
    }


def titles_changed() -> dict[str, float]:
    """Share of real titles that lose more than the year, an alias or a tail: brands must survive."""
    from features.readers.registry import read_dataset

    root, changed = os.environ.get("COUNTERPOINT_DATA", ""), {}
    for name, layout in (("ml-100k", "movielens-100k"), ("amazon-musical-instruments", "amazon")):
        if root and (folder := Path(root) / name).is_dir():
            titles = read_dataset(layout, folder).catalog.products["title"]
            changed[name] = round(
                sum("[removed]" in (said := spoken_title(t)) or not said for t in titles) / len(titles), 4
            )
    return changed
