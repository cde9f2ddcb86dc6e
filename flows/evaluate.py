"""Stage 5: the held-out interactions, scored by the method, by its control without explanations, by the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from prefect import flow

from features.errors import InputError
from flows.artifacts import attach_plot, attach_table, attach_text
from flows.cards import describe_run, run_documents
from flows.ingest import ingest_data
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.train import BASELINE, CONTROL, load_trained, part_set, train_models
from flows.workspace import Workspace
from models.evaluate import Interval, compare_predictions, evaluate_predictions, predict

if TYPE_CHECKING:
    from features.batch import TrainingSet
    from models.cards.run import RunCard
    from models.evaluate import Predictions


class Measure(StageResult):
    """A value, or a difference, with its 95 % interval from a bootstrap over consumers."""

    value: float
    low: float
    high: float


class EvaluateResult(StageResult):
    """What the held-out part says."""

    rows: int
    consumers: int
    known_consumers: float
    """Share of the test rows whose consumer was seen before the cut; the others are cold."""
    with_both_facets: float
    """Share of the test rows for which consumer and product both have facets."""
    metrics: dict[str, dict[str, Measure]]
    """By fitted model, then by metric; the protocol is in the metric's name."""
    gain: dict[str, Measure]
    """The method minus its control without explanations, paired."""
    over_baseline: dict[str, Measure]
    """The method minus the bias baseline, paired."""
    plot: str
    predictions: str
    """CSV of the method's test predictions, for any other scorer."""

    def values(self, model: str) -> dict[str, float]:
        """A model's metrics without their intervals."""
        return {name: measure.value for name, measure in self.metrics[model].items()}


@flow(name="evaluate")
def evaluate(recipe: Recipe) -> EvaluateResult:
    """Scores the test part with every fitted model."""
    return evaluate_models(Workspace.open(), recipe)


def evaluate_models(workspace: Workspace, recipe: Recipe) -> EvaluateResult:
    """The work of the flow, callable without Prefect."""
    trained = train_models(workspace, recipe)
    return workspace.stages.run(
        "evaluate", [trained.trained_hash], EvaluateResult, lambda _: _evaluate(workspace, recipe)
    )


def _evaluate(workspace: Workspace, recipe: Recipe) -> EvaluateResult:
    ingested, trained = ingest_data(workspace, recipe), train_models(workspace, recipe)
    test = part_set(workspace, ingested, "test")
    if not len(test):
        raise InputError("The test part is empty.", remedy="Give more interactions.")
    predicted = {name: predict(load_trained(workspace, recipe, ingested, name), test) for name in trained.fits}
    measured = {name: evaluate_predictions(name, item) for name, item in predicted.items()}
    method, control = recipe.method.name, CONTROL if CONTROL in predicted else BASELINE
    gain = compare_predictions(predicted[control], predicted[method])
    metrics = {name: measures(item.metrics) for name, item in measured.items()}
    attach_table(
        "metrics", [{"model": name, **{k: m.value for k, m in item.items()}} for name, item in metrics.items()]
    )
    plot = _plot(workspace, metrics)
    attach_plot("metrics", plot)
    batch = test.batch
    known = batch.consumers.numeric[:, 0] > 0
    both = (batch.consumers.facet_codes.index >= 0) & (batch.products.facet_codes.index >= 0)
    result = EvaluateResult(
        rows=len(test),
        consumers=measured[method].consumers,
        known_consumers=round(float(known.mean()), 4),
        with_both_facets=round(float(both.mean()), 4),
        metrics=metrics,
        gain=measures(gain),
        over_baseline=measures(compare_predictions(predicted[BASELINE], predicted[method])),
        plot=str(plot),
        predictions=str(_write_predictions(workspace, test, predicted[method])),
    )
    _write_card(workspace, describe_run(workspace, recipe, result))
    return result


def _write_card(workspace: Workspace, card: RunCard) -> None:
    """Writes the run card beside the other reports and attaches it to the run."""
    folder = workspace.settings.reports / card.stem
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in run_documents(workspace, card).items():
        (folder / name).write_bytes(content)
    attach_text(card.stem, card.markdown())
    attach_plot("curves", folder / "curves.png")


def measures(metrics: dict[str, Interval]) -> dict[str, Measure]:
    """Metrics as they are stored: rounded."""
    return {
        name: Measure(value=round(i.value, 5), low=round(i.low, 5), high=round(i.high, 5))
        for name, i in metrics.items()
    }


def _write_predictions(workspace: Workspace, test: TrainingSet, predicted: Predictions) -> Path:
    path = workspace.settings.reports / "predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "consumer_id": test.batch.consumers.consumer_ids,
            "product_id": test.batch.products.product_ids,
            "prediction": predicted.predicted_rating,
            "probability": predicted.predicted_click,
        }
    ).to_csv(path, index=False)
    return path


def _plot(workspace: Workspace, metrics: dict[str, dict[str, Measure]]) -> Path:
    """RMSE and AUC of every fitted model with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rmse = next(name for name in next(iter(metrics.values())) if name.startswith("rmse") and name != "rmse/0-1")
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
    for panel, name, better in zip(panels, (rmse, "auc_soft"), ("less is better", "more is better"), strict=True):
        for place, (model, item) in enumerate(reversed(metrics.items())):
            measure = item[name]
            panel.plot([measure.low, measure.high], [place, place], color="#7a7f87", linewidth=2)
            panel.plot(
                [measure.value], [place], "o", color="#1f6f54" if model not in (CONTROL, BASELINE) else "#30343b"
            )
            panel.annotate(
                f"{measure.value:.3f}", (measure.value, place), (0, 7), textcoords="offset points", ha="center"
            )
        panel.set_yticks(range(len(metrics)), [model.replace("_", " ") for model in reversed(metrics)])
        panel.set_ylim(-0.6, len(metrics) - 0.3)
        panel.set_title(f"{name} ({better}), 95 % interval", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    path = workspace.settings.reports / "metrics.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
