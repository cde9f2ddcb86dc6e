"""The gate: a trained model against the bias baseline, and against the live model on the same test rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.contracts.engine import joined
from features.contracts.outcomes import Paired, check_against_live, check_metrics, not_compared
from features.errors import CounterpointError, ReleaseError
from flows.evaluate import EvaluateResult
from flows.ingest import ingest_data
from flows.quality import enforce
from flows.recipe import Recipe
from flows.train import BASELINE, load_trained, part_set
from flows.workspace import Workspace
from models.evaluate import Interval, compare_predictions, predict
from models.release import ARTIFACT_FOLDER, Release, ReleaseStore

if TYPE_CHECKING:
    from features.contracts.report import CheckReport
    from models.base import Recommender


def pass_gate(workspace: Workspace, recipe: Recipe, evaluated: EvaluateResult) -> dict[str, Interval]:
    """Raises CheckError if the trained model may not go live.

    Against the baseline the value itself counts: an interval's favourable end let clearly poor models through where
    rows are few. The live model is scored anew on the candidate's test rows, so that new data change nothing about
    the comparison, and one that was refreshed since counts like any other.

    Returns:
        The model minus the live one, paired, by metric; empty if nothing is live or it cannot be scored.
    """
    live = ReleaseStore(workspace.settings.releases).live()
    candidate, baseline = (_gated(evaluated.values(name)) for name in (recipe.method.name, BASELINE))
    tolerance, rows = recipe.gate.tolerance, evaluated.rows
    reports = [check_metrics(candidate, baseline, tolerance, rows, replaces=live is not None)]
    over_live: dict[str, Interval] = {}
    if live is not None:
        report, over_live = _against(workspace, recipe, live, candidate, rows)
        reports.append(report)
    enforce(joined("metrics", reports), workspace)
    return over_live


def _against(
    workspace: Workspace, recipe: Recipe, live: Release, candidate: dict[str, float], rows: int
) -> tuple[CheckReport, dict[str, Interval]]:
    """The contract with the live model, and the difference of every metric."""
    ingested = ingest_data(workspace, recipe)
    test = part_set(workspace, ingested, "test")
    try:
        before = predict(open_live(live), test)
    except CounterpointError as error:
        return not_compared(live.release_id, error.found), {}
    after = predict(load_trained(workspace, recipe, ingested, recipe.method.name), test)
    differences = compare_predictions(before, after)
    paired = {
        name: Paired(candidate[name], candidate[name] - it.value, it.low, it.high)
        for name, metric in _metric_names(differences).items()
        for it in [differences[metric]]
    }
    return check_against_live(paired, live.release_id, recipe.gate.tolerance, rows), differences


def open_live(live: Release) -> Recommender:
    """The model of a release, from the model store. Raises ReleaseError."""
    import bentoml
    from bentoml.exceptions import BentoMLException

    from models.released import open_artifact

    try:
        folder = Path(bentoml.models.get(live.artifact_tag).path_of(ARTIFACT_FOLDER))
    except BentoMLException as error:
        raise ReleaseError(f"The model store has no artifact {live.artifact_tag}: {error}.") from error
    return open_artifact(folder, live).recommender


def _gated(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics the gate looks at, under its names."""
    return {name: metrics[metric] for name, metric in _metric_names(metrics).items()}


def _metric_names(metrics: dict[str, float] | dict[str, Interval]) -> dict[str, str]:
    """The gate's names of metrics and theirs; the RMSE is the one on the dataset's own scale."""
    stars = next(name for name in metrics if name.startswith("rmse") and name != "rmse/0-1")
    names = {"rmse": stars, "auc": "auc_soft"}
    return {name: metric for name, metric in names.items() if metric in metrics}
