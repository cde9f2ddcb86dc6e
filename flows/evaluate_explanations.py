"""How good the published explanations are: those of held-out pairs, beside floors that know nothing of their pair.

The texts are what the service would show for the live release. What they are judged by: the facts they cite (gates),
raw data they should be recognised by, the trained model (does its score move when a cited facet is taken away?), and
in the built-in world the planted truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import flow

from features.errors import InputError, ReleaseError
from features.evidence import EvidenceWindow
from features.sentences import spoken_title
from features.types import STANCES, Snapshot
from flows.artifacts import attach_plot, attach_table
from flows.evaluate import Measure, measures
from flows.ingest import IngestResult, built_in_world, ingest_data, read_snapshot
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.train import load_trained, part_set
from flows.workspace import Workspace
from models.evaluate import mean_with_interval
from models.evaluate_texts import Argued, Metrics, Recognition, floors, measure_argued
from models.explanations.published import Published, in_template_words
from models.metrics.deletion import moves
from models.metrics.grounding import Evidence
from models.metrics.pair_context import PairContexts, encode_once, passages_of
from models.release import Release, ReleaseStore, ReleaseTexts

if TYPE_CHECKING:
    from features.batch import FeatureBatch
    from models.metrics.pair_context import Encode

N_PAIRS = 300
SEED = 0
PUBLISHED, TEMPLATE = "published", "template"
SHOWN = ("grounded", "planted/supported", "contrast", "identified", "identified/masked", "identified/masked/both_sides")
"""Metrics of the plot."""


class ExplanationQuality(StageResult):
    """What the texts of a release are worth."""

    release_id: str
    pairs: int
    texts: int
    """Texts that say something."""
    silent: float
    """Share of the sides on which nothing was known to say."""
    metrics: dict[str, dict[str, Measure]]
    """By whose texts (`published`, `template`, `shuffled`, `random`), then by metric; chance of `identified` is 1 %
    among 100. A metric without an interval has its value as both ends."""
    plot: str


@flow(name="evaluate-explanations")
def evaluate_explanations(recipe: Recipe, n_pairs: int = N_PAIRS) -> ExplanationQuality:
    """Judges the texts of the live release. Raises ReleaseError, InputError."""
    return judge_explanations(Workspace.open(), recipe, n_pairs)


def judge_explanations(workspace: Workspace, recipe: Recipe, n_pairs: int = N_PAIRS) -> ExplanationQuality:
    """The work of the flow, callable without Prefect."""
    from models.text import TextEncoder

    release, texts = _live(workspace)
    ingested = ingest_data(workspace, recipe)
    batch = _sample(part_set(workspace, ingested, "test").batch, n_pairs)
    pairs = [*zip(map(str, batch.consumers.consumer_ids), map(str, batch.products.product_ids), strict=True)]
    snapshot = read_snapshot(workspace, ingested, ingested.cut_valid)
    argued = say(Published(texts, release.wording), pairs)
    evidence = evidence_of(texts, release)
    recognition = _recognition(pairs, snapshot, evidence, encode_once(TextEncoder().encode))
    judged = {
        PUBLISHED: argued,
        TEMPLATE: say(Published(in_template_words(texts, release.wording), release.wording), pairs),
    }
    judged |= floors(argued)
    metrics = {name: measure_argued(each, evidence, recognition) for name, each in judged.items()}
    metrics[PUBLISHED] |= _deletion(workspace, recipe, ingested, batch, argued, texts)
    if recipe.data.layout == "world":
        for name, each in judged.items():
            metrics[name] |= planted_truth(recipe, snapshot, each)
    plot = _plot(workspace, metrics)
    attach_table("explanations", [{"texts": k, **{m: i.value for m, i in v.items()}} for k, v in metrics.items()])
    attach_plot("explanations", plot)
    return ExplanationQuality(
        release_id=release.release_id,
        pairs=len(pairs),
        texts=len(argued.said),
        silent=round(1 - len(argued.said) / (len(STANCES) * len(pairs)), 4),
        metrics={name: measures(each) for name, each in metrics.items()},
        plot=str(plot),
    )


def say(published: Published, pairs: list[tuple[str, str]]) -> Argued:
    """What is published of each pair."""
    return Argued(tuple(published.of(*pair) for pair in pairs))


def evidence_of(texts: ReleaseTexts, release: Release) -> Evidence:
    """What the texts of a release may rest on."""
    titles = zip(texts.products["product_id"].astype(str), texts.products["title"].astype(str), strict=True)
    spoken = {product: spoken_title(title) for product, title in titles}
    return Evidence(Published(texts, release.wording).facts, spoken, release.wording)


def planted_truth(recipe: Recipe, snapshot: Snapshot, argued: Argued) -> Metrics:
    """Share of the statements that are so in the built-in world, and how often a stated taste is a planted one."""
    from models.metrics.planted import Verdict, WorldJudge

    window = EvidenceWindow(share=recipe.explain.evidence_share)
    judge = WorldJudge(snapshot, built_in_world(recipe.data).truth, window)
    read = [
        (text.consumer_id, reading)
        for _, text in argued.said
        for reading in judge.read(text.text, text.consumer_id, text.product_id, text.stance)
    ]
    who = np.array([consumer for consumer, _ in read])
    columns = {
        "planted/supported": [float(reading.verdict is Verdict.TRUE) for _, reading in read],
        "planted/unread": [float(reading.verdict is Verdict.UNREAD) for _, reading in read],
        "planted/likes": [_share(reading.planted, reading.sign > 0) for _, reading in read],
        "planted/no_likes": [_share(reading.planted, reading.sign < 0) for _, reading in read],
    }
    return {name: mean_with_interval(np.array(values), who) for name, values in columns.items()}


def _share(planted: bool | None, counts: bool) -> float:
    return float(planted) if planted is not None and counts else float("nan")


def _live(workspace: Workspace) -> tuple[Release, ReleaseTexts]:
    releases = ReleaseStore(workspace.settings.releases)
    release = releases.live()
    if release is None:
        raise ReleaseError("No release is live, so nothing is published.", remedy="Run `counterpoint run` first.")
    return release, releases.read_texts(release)


def _sample(batch: FeatureBatch, n_pairs: int) -> FeatureBatch:
    """Held-out pairs, drawn with a fixed seed."""
    if not len(batch):
        raise InputError("There is no held-out pair to judge texts of.", remedy="Give more interactions.")
    chosen = np.random.default_rng(SEED).permutation(len(batch))[:n_pairs]
    return batch.take(np.sort(chosen).astype(np.intp))


def _recognition(pairs: list[tuple[str, str]], snapshot: Snapshot, evidence: Evidence, encode: Encode) -> Recognition:
    consumers, products = passages_of(snapshot)
    return Recognition(
        contexts=PairContexts.encoded(pairs, consumers, products, encode),
        consumers=np.array([consumer for consumer, _ in pairs]),
        references=[" ".join([*consumers.get(c, ()), *products.get(p, ())]) for c, p in pairs],
        names=list(evidence.titles.values()),
        encode=encode,
    )


def _deletion(
    workspace: Workspace,
    recipe: Recipe,
    ingested: IngestResult,
    batch: FeatureBatch,
    argued: Argued,
    texts: ReleaseTexts,
) -> Metrics:
    """How often the model's rating moves as each side says, when what it cites, or does not cite, is taken away."""
    recommender = load_trained(workspace, recipe, ingested, recipe.method.name)
    moved = [moves(recommender, batch, [pair[side] for pair in argued.both], texts.facets) for side in (0, 1)]
    who = batch.consumers.consumer_ids.astype(str)
    found: Metrics = {}
    for name in ("cited", "uncited"):
        by_stance = [getattr(each, name) for each in moved]
        found[f"deletion/{name}"] = mean_with_interval(np.concatenate(by_stance), np.concatenate([who, who]))
        for stance, values in zip(STANCES, by_stance, strict=True):
            found[f"deletion/{name}/{stance.value}"] = mean_with_interval(values, who)
    return found


def _plot(workspace: Workspace, metrics: dict[str, Metrics]) -> Path:
    """The headline measures with intervals, by whose texts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [name for name in SHOWN if name in metrics[PUBLISHED]]
    figure, panel = pyplot.subplots(figsize=(8, 0.6 * len(shown) + 1.2), layout="constrained")
    colours = dict(zip(metrics, ("#1f6f54", "#7aa896", "#a0a4ab", "#d0d3d8"), strict=True))
    for row, (source, each) in enumerate(metrics.items()):
        places = [n + 0.3 - 0.2 * row for n in reversed(range(len(shown)))]
        values = [each[name] for name in shown]
        panel.barh(places, [100 * item.value for item in values], 0.18, color=colours[source], label=source)
        panel.hlines(places, [100 * i.low for i in values], [100 * i.high for i in values], color="#30343b")
    panel.set_yticks(range(len(shown)), reversed(shown))
    panel.set_xlim(0, 100)
    panel.set_xlabel("% (bars), 95 % interval (lines)")
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=len(metrics), frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    path = workspace.settings.reports / "explanations.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
