"""How good the published explanations are: those of held-out pairs, beside floors that know nothing of their pair.

The texts are what the service would show for the live release. What they are judged by: the facts they cite (gates),
raw data they should be recognised by, the trained model (does its score move when a cited facet is taken away?), and
in the built-in world the planted truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import flow

from features.errors import InputError, ReleaseError
from features.evidence import EvidenceWindow
from features.records import from_frame
from features.sentences import spoken_title
from features.types import STANCES, Fact, Snapshot
from flows.artifacts import attach_plot, attach_table
from flows.cards import intervals
from flows.evaluate import Measure, measures
from flows.ingest import IngestResult, built_in_world, ingest_data, read_snapshot
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.train import load_trained, part_set
from flows.workspace import Workspace
from models.cards.explanations import JudgedCard, judged_file
from models.evaluate import mean_with_interval
from models.evaluate_texts import Argued, Metrics, Recognition, floors, measure_argued
from models.explanations.gates import TEMPLATE
from models.explanations.published import Published, in_template_words
from models.metrics.deletion import moves
from models.metrics.grounding import Evidence
from models.metrics.pair_context import PairContexts, encode_once, passages_of
from models.release import Release, ReleaseStore, ReleaseTexts

if TYPE_CHECKING:
    from features.batch import FeatureBatch
    from models.metrics.pair_context import Encode
    from models.metrics.planted import Reading

N_PAIRS = 300
SEED = 0
PUBLISHED = "published"
SHOWN = ("grounded", "planted/supported", "contrast", "identified", "identified/masked", "identified/masked/both_sides")
"""Metrics of the plot."""


class ExplanationQuality(StageResult):
    """What the texts of a release are worth."""

    release_id: str
    pairs: int
    texts: int
    """Texts that say something."""
    by_model: float
    """Share of these in which a language model worded something; code alone worded the others."""
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

    shown = shown_pairs(workspace, recipe, n_pairs)
    recognition = _recognition(shown, encode_once(TextEncoder().encode))
    template = in_template_words(shown.texts, shown.release.wording)
    judged = {PUBLISHED: shown.argued, TEMPLATE: say(template, shown.release, shown.pairs), **floors(shown.argued)}
    metrics = {name: measure_argued(each, shown.evidence, recognition) for name, each in judged.items()}
    metrics[PUBLISHED] |= _deletion(workspace, recipe, shown)
    if recipe.data.layout == "world":
        for name, each in judged.items():
            metrics[name] |= planted_truth(read_planted(recipe, shown.snapshot, each))
    metrics = {name: {k: i for k, i in each.items() if not math.isnan(i.value)} for name, each in metrics.items()}
    plot = _plot(workspace, metrics)
    attach_table("explanations", [{"texts": k, **{m: i.value for m, i in v.items()}} for k, v in metrics.items()])
    attach_plot("explanations", plot)
    said = [text for _, text in shown.argued.said]
    judgement = ExplanationQuality(
        release_id=shown.release.release_id,
        pairs=len(shown.pairs),
        texts=len(said),
        by_model=round(sum(text.model != TEMPLATE for text in said) / max(len(said), 1), 4),
        silent=round(1 - len(said) / (len(STANCES) * len(shown.pairs)), 4),
        metrics={name: measures(each) for name, each in metrics.items()},
        plot=str(plot),
    )
    _keep_judged(workspace, shown.release, judgement)
    return judgement


def _keep_judged(workspace: Workspace, release: Release, judgement: ExplanationQuality) -> None:
    """Keeps what was found of a text set for the cards that tell of it."""
    card = JudgedCard(
        release_id=release.release_id,
        pairs=judgement.pairs,
        texts=judgement.texts,
        silent=judgement.silent,
        metrics=intervals(judgement.metrics[PUBLISHED]),
    )
    path = judged_file(workspace.settings, release.text_set_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card.model_dump_json(indent=1), encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Shown:
    """What the live release says of held-out pairs, and all it may be judged by."""

    release: Release
    texts: ReleaseTexts
    ingested: IngestResult
    snapshot: Snapshot
    """What was known when the texts were made."""
    batch: FeatureBatch
    pairs: list[tuple[str, str]]
    argued: Argued
    evidence: Evidence


def shown_pairs(workspace: Workspace, recipe: Recipe, n_pairs: int) -> Shown:
    """Draws held-out pairs with a fixed seed, at most `n_pairs`, and looks up what is said of them."""
    releases = ReleaseStore(workspace.settings.releases)
    release = releases.live()
    if release is None:
        raise ReleaseError("No release is live, so nothing is published.", remedy="Run `counterpoint run` first.")
    texts, ingested = releases.read_texts(release), ingest_data(workspace, recipe)
    test = part_set(workspace, ingested, "test").batch
    if not len(test):
        raise InputError("There is no held-out pair to judge texts of.", remedy="Give more interactions.")
    batch = test.take(np.sort(np.random.default_rng(SEED).permutation(len(test))[:n_pairs]).astype(np.intp))
    pairs = [*zip(map(str, batch.consumers.consumer_ids), map(str, batch.products.product_ids), strict=True)]
    snapshot = read_snapshot(workspace, ingested, ingested.cut_valid)
    argued = say(texts, release, pairs)
    return Shown(release, texts, ingested, snapshot, batch, pairs, argued, evidence_of(texts, release))


def say(texts: ReleaseTexts, release: Release, pairs: Sequence[tuple[str, str]]) -> Argued:
    """What these texts, published with this release, say of each pair."""
    published = Published(texts, release.wording)
    return Argued(tuple(published.of(*pair) for pair in pairs))


def evidence_of(texts: ReleaseTexts, release: Release) -> Evidence:
    """What the texts of a release may rest on."""
    facts = {fact.fact_id: fact for fact in from_frame(texts.facts, Fact)}
    titles = zip(texts.products["product_id"].astype(str), texts.products["title"].astype(str), strict=True)
    return Evidence(facts, {product: spoken_title(title) for product, title in titles}, release.wording)


def read_planted(recipe: Recipe, snapshot: Snapshot, argued: Argued) -> list[tuple[str, Reading]]:
    """Every statement about the built-in world, judged by its truth, with the consumer it is addressed to."""
    from models.metrics.planted import WorldJudge

    window = EvidenceWindow(share=recipe.explain.evidence_share)
    judge = WorldJudge(snapshot, built_in_world(recipe.data).truth, window)
    return [
        (text.consumer_id, reading)
        for _, text in argued.said
        for reading in judge.read(text.text, text.consumer_id, text.product_id, text.stance)
    ]


def planted_truth(read: Sequence[tuple[str, Reading]]) -> Metrics:
    """Share of the statements that are so, of those nobody could read, and of stated tastes that are planted ones."""
    who = np.array([consumer for consumer, _ in read])
    columns = {
        "planted/supported": [float(reading.verdict.value == "true") for _, reading in read],
        "planted/unread": [float(reading.verdict.value == "unread") for _, reading in read],
        "planted/likes": [_share(reading.planted, reading.sign > 0) for _, reading in read],
        "planted/no_likes": [_share(reading.planted, reading.sign < 0) for _, reading in read],
    }
    return {name: mean_with_interval(np.array(values), who) for name, values in columns.items()}


def _share(planted: bool | None, counts: bool) -> float:
    return float(planted) if planted is not None and counts else float("nan")


def _recognition(shown: Shown, encode: Encode) -> Recognition:
    consumers, products = passages_of(shown.snapshot)
    return Recognition(
        contexts=PairContexts.encoded(shown.pairs, consumers, products, encode),
        consumers=np.array([consumer for consumer, _ in shown.pairs]),
        references=[" ".join([*consumers.get(c, ()), *products.get(p, ())]) for c, p in shown.pairs],
        names=list(shown.evidence.titles.values()),
        encode=encode,
    )


def _deletion(workspace: Workspace, recipe: Recipe, shown: Shown) -> Metrics:
    """How often the model's rating moves as each side says, when what it cites, or does not cite, is taken away."""
    recommender = load_trained(workspace, recipe, shown.ingested, recipe.method.name)
    sides = zip(*shown.argued.both, strict=True)
    moved = [moves(recommender, shown.batch, texts, shown.texts.facets) for texts in sides]
    who = shown.batch.consumers.consumer_ids.astype(str)
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
