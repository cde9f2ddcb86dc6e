"""Scores of the list answer by the embedded model as it is, and tuned by one loss or both; all of it is kept on disk.

A tuning with a ranking loss belongs to a base model, whose scores that adds to. What was made with other settings or
events is not taken for it. The parse rate is that of lists the model freely writes of products that were drawn once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.methods.guided_bench import VARIANTS, Bench
from benchmarks.methods.guided_scores import Floats, Source, every_expected_score, repeated
from features.types import content_hash
from models.attributes.choices import Choices
from models.attributes.tuned import ScoreTuningConfig, tune_scores
from models.attributes.written import ListForm
from models.backbones.histories import Histories
from models.backbones.sequences.network import SequenceNetwork
from models.lora.student import Student
from models.threads import torch_threads

TUNINGS: Mapping[Source, ScoreTuningConfig | None] = {
    "untuned": None,
    "tuned": ScoreTuningConfig(),
    "tuned_rec": ScoreTuningConfig(form=0),
    "tuned_format": ScoreTuningConfig(recommendation=0),
}
"""By source; None tunes nothing."""
WRITTEN = 50
"""Products that the model freely writes a list of."""
SCORES, FACTS, PART = "scores.npy", "facts.json", "part"


def listed_columns(
    bench: Bench, known: Histories, base: SequenceNetwork, source: Source, whose: str, seed: int
) -> Floats:
    """(P, m) columns on a standard scale, as a model in service would repeat the language model's scores.

    Args:
        bench: what is measured on.
        known: training events.
        base: the trained base model.
        source: how the language model was tuned.
        whose: name of the base model: its encoder and seed.
        seed: of the tuning.
    """
    folder, having = folder_of(bench, known, source, whose), np.flatnonzero(known.counts > 0)
    if not (folder / FACTS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with torch_threads(1):
            _make(folder, bench, known, base, source, seed)
    scores = np.load(folder / SCORES)
    return repeated(bench.catalogue, having, scores[having]).standard(bench.catalogue.products)


def folder_of(bench: Bench, known: Histories, source: Source, whose: str) -> Path:
    """Where scores and facts of a source lie."""
    config = TUNINGS[source]
    settings = config.model_dump() if config else {}
    made_of = content_hash(known.product.tolist(), known.start.tolist(), settings)[:8]
    return bench.folder / "listed" / f"{name_of(source, whose)}-{made_of}"


def name_of(source: Source, whose: str) -> str:
    """A source by what its scores depend on: without a ranking loss no base model, without a tuning no seed."""
    config = TUNINGS[source]
    if config is None:
        return source
    return f"{whose if config.recommendation else whose.rpartition('.')[2]}.{source}"


def _make(folder: Path, bench: Bench, known: Histories, base: SequenceNetwork, source: Source, seed: int) -> None:
    """Writes scores and facts; the facts last, as a sign that all is there."""
    catalogue, tuning = bench.catalogue, TUNINGS[source]
    config = tuning or ScoreTuningConfig()
    form = ListForm(Student(catalogue.language_model(), config.lora, seed), catalogue.attributes, config.max_text)
    numbers, facts = every_expected_score(catalogue), dict[str, Any]()
    if tuning is None:
        scores = form.scores(form.rows(catalogue.texts, numbers), _tell)
    else:
        choices = Choices.of(known, bench.setting.widths.length, base)
        found = tune_scores(form, catalogue.texts, numbers, choices, tuning, seed, folder / PART, _tell)
        scores, facts = found.tuned, {"config": tuning.model_dump(mode="json"), "report": asdict(found.report)}
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(known.counts > 0))[:WRITTEN]
    facts |= {"parse_rate": form.parse_rate([catalogue.texts[it] for it in drawn]), "written": len(drawn)}
    facts["spread"] = scores.std(0).round(3).tolist()
    np.save(folder / SCORES, scores)
    (folder / FACTS).write_text(json.dumps(facts))


def _tell(what: str, done: int, total: int) -> None:
    """A line for every tenth of the way or so."""
    if done == total or done % max(1, total // 10) == 0:
        typer.echo(f"{what} {done} of {total}", err=True)


def made(bench: Bench, known: Histories, lists: Iterable[str]) -> dict[str, tuple[dict[str, Any], Floats]]:
    """Facts and scores (P, m) behind the lists of these names, by base model and source."""
    found = {}
    for name in lists:
        whose, _, variant = name.rpartition(".")
        if variant in VARIANTS and (source := VARIANTS[variant].source) in TUNINGS:
            folder = folder_of(bench, known, source, whose)
            found[name_of(source, whose)] = (json.loads((folder / FACTS).read_text()), np.load(folder / SCORES))
    return found
