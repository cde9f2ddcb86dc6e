"""One run: a student tuned on K pairs of one seed, or as it is, and its scores of the test pairs, kept once made."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reasoning.data import Corpus, Pair, shots_of
from features.files import write_whole
from features.types import content_hash
from models.base import Progress
from models.lora.low_rank import LoraConfig
from models.lora.shots import balanced_shots, most_shots
from models.reasoning.cases import PromptConfig
from models.reasoning.tutor import Answer, Lesson, TutorConfig, Tutored, tutor, untutored

CODE = ("models/lora", "models/reasoning", "benchmarks/reasoning")
PROMPT = PromptConfig(history=3, profile_words=24, description_words=10, rationale_tokens=24)
LORA = LoraConfig(modules=("q_proj", "k_proj", "v_proj", "o_proj"), layers=6, rate=2e-3, epochs=8, patience=3)
N_CHECK = 100
"""Validation pairs that choose an epoch, the others are not scored."""
N_WRITTEN = 20
"""Test pairs whose rationales are written out."""


@dataclass(frozen=True)
class Variant:
    """What a prompt shows and what is learned."""

    name: str
    shots: int
    """0: the student as it is."""
    prompt: PromptConfig = PROMPT
    facts: bool = False
    lora: LoraConfig = field(default=LORA, repr=False)
    """How it is tuned; names what is kept by what it holds, since it may begin with an adapter's folder."""


def variants() -> list[Variant]:
    """What is compared; K is lowered to what there is. Parts are left out at K = 64."""
    silent = PROMPT.model_copy(update={"rationale_tokens": 0})
    titles = silent.model_copy(update={"profile": False, "descriptions": False})
    return [
        Variant("zero-shot", 0),
        Variant("full-64", 64),
        Variant("full-128", 128),
        Variant("full-256", 256),
        Variant("no-profile-64", 64, PROMPT.model_copy(update={"profile": False})),
        Variant("no-description-64", 64, PROMPT.model_copy(update={"descriptions": False})),
        Variant("label-only-64", 64, silent),
        Variant("title-only-64", 64, titles),
        Variant("facts-label-only-64", 64, silent, facts=True),
    ]


def code_hash() -> str:
    """Hash of the code that a run rests on: what is kept of other code is not taken up."""
    root = Path(__file__).parent.parent.parent
    files = [path for name in CODE for path in sorted((root / name).glob("*.py"))]
    return content_hash([path.read_text(encoding="utf-8") for path in files])[:12]


@dataclass(frozen=True)
class Run:
    """What came of one."""

    soft: list[float]
    n_shots: int
    epochs: tuple[float, ...]
    trained_tokens: int
    train_seconds: float
    scored_tokens: int
    score_seconds: float
    peak_mb: int
    written: list[list[Any]]
    """Decision (or null) and rationale of the first test pairs."""


def kept_run(corpus: Corpus, variant: Variant, seed: int, kept: Path) -> Run | None:
    """The run of a variant and seed, if it was made by this code."""
    path = _path(corpus, variant, seed, kept)
    return Run(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def run(corpus: Corpus, variant: Variant, seed: int, base: Path, kept: Path, progress: Progress) -> None:
    """Makes the run of a variant and seed, unless it is kept already."""
    path = _path(corpus, variant, seed, kept)
    if path.exists():
        return
    made = _made(corpus, variant, seed, base, path.with_suffix(".part"), progress)
    write_whole(path, json.dumps(vars(made)))


def _path(corpus: Corpus, variant: Variant, seed: int, kept: Path) -> Path:
    key = content_hash(code_hash(), repr(variant), variant.lora.identity)[:12]
    return kept / corpus.name / f"{variant.name}-{seed}-{key}.json"


def _made(corpus: Corpus, variant: Variant, seed: int, base: Path, part: Path, progress: Progress) -> Run:
    config = TutorConfig(prompt=variant.prompt, lora=variant.lora)
    test, n_shots = corpus.lesson(corpus.test, variant.facts), 0
    student: Tutored
    if variant.shots:
        liked = shots_of(corpus.train)
        n_shots = min(variant.shots, most_shots(liked))
        rows = balanced_shots(liked, n_shots, seed)
        lesson = corpus.lesson([corpus.train[row] for row in rows], variant.facts)
        check = corpus.lesson(checked(corpus), variant.facts)
        student = tutor(base, lesson, check, config, seed, part, progress)
    else:
        student = untutored(base, config)
    started = time.perf_counter()
    soft = student.decide(test.cases).soft
    seconds = time.perf_counter() - started
    written = _written(student, test) if variant.prompt.rationale_tokens and seed == 0 else []
    report = student.report
    return Run(
        soft=[float(value) for value in soft],
        n_shots=n_shots,
        epochs=report.scores if report else (),
        trained_tokens=report.tokens if report else 0,
        train_seconds=report.seconds if report else 0.0,
        scored_tokens=student.n_tokens,
        score_seconds=round(seconds, 1),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        written=[[answer.liked, answer.rationale] for answer in written],
    )


def checked(corpus: Corpus) -> list[Pair]:
    """The validation pairs that choose epochs: all of the rarer kind, up to half, and others."""
    liked = shots_of(corpus.valid)
    n = min(N_CHECK, most_shots(liked))
    rows = balanced_shots(liked, n - n % 2)
    return [corpus.valid[row] for row in rows]


def _written(student: Tutored, test: Lesson) -> list[Answer]:
    places = np.linspace(0, len(test.cases) - 1, N_WRITTEN).astype(int)
    return student.write([test.cases[place] for place in places])


def written_places(n: int) -> list[int]:
    """The test pairs whose answers were written out."""
    return [int(place) for place in np.linspace(0, n - 1, N_WRITTEN).astype(int)]
