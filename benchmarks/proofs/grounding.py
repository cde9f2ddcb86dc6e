"""Nothing ungrounded is published: statements about the built-in world, judged against its planted truth.

The whole way is gone with the embedded model (facts, facets, gates, composition); then every explanation of held-out
pairs is read by a judge that knows the world and nothing of facts, citations or gates.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.proofs import Proof

PROMISE = "At least 98 % of the published statements about the built-in world are so."
GOAL, ENOUGH, ALL = 0.98, 1500, 1_000_000


def prove(recipe: str = "world/demo", home: str = "", enough: int = ENOUGH) -> Proof:
    """Publishes and judges.

    Args:
        recipe: of a built-in world.
        home: one in which the recipe was already run; default: a new one, which takes the time of a demo.
        enough: fewest statements that count as a proof.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = judged(recipe, home or folder)
    kept = figures["statements"] >= enough and figures["planted/supported"]["value"] >= GOAL
    return Proof(PROMISE, kept, figures)


def judged(recipe: str, home: str) -> dict[str, Any]:
    """How many statements about all held-out pairs are so, and what was wrong with the others."""
    os.environ["COUNTERPOINT_HOME"] = home
    from features.settings import HostSettings
    from flows.workspace import Workspace, prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings)
    from flows.evaluate_explanations import planted_truth, read_planted, shown_pairs
    from flows.recipe import choose_recipe
    from flows.release import release_model

    workspace, chosen = Workspace.open(), choose_recipe(Path(home), recipe, "", "", "", "")
    made = release_model(workspace, chosen)
    shown = shown_pairs(workspace, chosen, ALL)
    read = read_planted(chosen, shown.snapshot, shown.argued)
    readings = [reading for _, reading in read]
    measures = planted_truth(read)
    wrong = [reading for reading in readings if reading.why]
    return {
        "recipe": recipe,
        "release": made.release_id,
        "written_by_model": made.written_by_model,
        "pairs": len(shown.pairs),
        "statements": len(readings),
        **{name: asdict(measure) for name, measure in measures.items() if measure.value == measure.value},
        "wrong": dict(Counter(reading.why for reading in wrong).most_common()),
        "examples": list(dict.fromkeys(f"{reading.text} ({reading.why})" for reading in wrong))[:20],
    }
