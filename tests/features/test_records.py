"""Records survive the way into a frame, the lake and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from features.lake import Lake
from features.records import from_frame, to_frame
from features.types import EntityKind, Explanation, Facet, Stance

WHEN = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)


def facet(text: str = "You enjoy jazz.") -> Facet:
    return Facet("f1", EntityKind.CONSUMER, "c1", Stance.FOR, 0, text, 0.5, ("a", "b"), WHEN, "key", "hash", "m")


def test_a_facet_comes_back_equal_from_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("facets", to_frame([facet(), facet("You enjoy swing.")], Facet), "inputs")
    assert from_frame(lake.read("facets"), Facet) == [facet(), facet("You enjoy swing.")]


def test_an_explanation_without_evidence_keeps_its_missing_time() -> None:
    nothing = Explanation("c1", "p1", Stance.AGAINST, "", (), None, "none", "", "")
    assert from_frame(to_frame([nothing], Explanation), Explanation) == [nothing]


def test_no_record_is_a_frame_with_all_columns() -> None:
    assert list(to_frame([], Facet).columns)[:3] == ["facet_id", "entity_kind", "entity_id"]
