"""Attributes of consumers that no part of the method may learn from unless it is allowed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.batch import FeatureBatch, tuples

PROTECTED = ("age", "disability", "ethnicity", "gender", "nationality", "orientation", "race", "religion", "sex")
"""Names of consumer attributes that are left out by default: prototypes of them would be stereotypes."""


def without_protected(batch: FeatureBatch, protected: Sequence[str]) -> FeatureBatch:
    """The batch with these attributes of consumers never told."""
    names = frozenset(protected)
    told = batch.consumers.attributes
    kept = {listed: tuple(it for it in listed if it.partition("=")[0] not in names) for listed in set(told)}
    return replace(batch, consumers=replace(batch.consumers, attributes=tuples([kept[listed] for listed in told])))
