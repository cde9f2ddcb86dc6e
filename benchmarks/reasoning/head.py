"""The fast head on the benchmark's pairs: its AUC with and without the student's opinion, and what a score costs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reasoning.data import Corpus, Pair
from benchmarks.reasoning.runs import LORA, PROMPT
from features.batch import CONTENT_WIDTH, HISTORY_LENGTH, Indexed, TrainingSet
from features.prompt_texts import DatedText, PromptTexts
from models.backbones.collaborative import CollaborativeConfig
from models.base import Progress, RunContext, TextGround
from models.lora.low_rank import LoraConfig
from models.methods.reasoning_rec import ReasoningRec, ReasoningRecConfig
from models.metrics.ranking import auc
from models.reasoning.teaching import StudentConfig
from models.reasoning.tutor import TutorConfig, untutored
from models.testing import SCALE, plain_batch, training_set
from models.text import TextEncoder

N_TRAINED = 6000
"""Training pairs of the head."""
CONFIG = ReasoningRecConfig(
    student=StudentConfig(prompt=PROMPT, lora=LORA, n_shots=64, n_check=48, n_distil=300),
    batch_size=256,
    collaborative=CollaborativeConfig(chains=1, sweeps=60, burn_in=20, samples=10, folds=3, starts=(0.1,)),
)
LONG_AGO = np.datetime64("2000-01-01", "us")


def head_figures(corpus: Corpus, base: Path, state: Path, progress: Progress) -> dict[str, Any]:
    """Fits the method with and without a student on some training pairs, and measures both on the test pairs."""
    contents = _contents(corpus)
    train, valid, test = (
        _examples(corpus, pairs, contents) for pairs in (corpus.train[:N_TRAINED], corpus.valid, corpus.test)
    )
    profiles = {who: DatedText(text, LONG_AGO) for who, text in corpus.profiles.items()}
    told = PromptTexts(
        {key: it.title for key, it in corpus.products.items()},
        {key: it.description for key, it in corpus.products.items() if it.description},
        profiles,
    )
    ground = TextGround(told, lambda: base, state)
    tutored, alone = ReasoningRec(CONFIG, SCALE), ReasoningRec(CONFIG, SCALE)
    tutored.fit(train, valid, RunContext(progress=progress, ground=ground))
    alone.fit(train, valid, RunContext(progress=progress))
    return {
        "train_pairs": len(train),
        "auc": round(auc(test.liked, tutored.score(test.batch).click), 4),
        "auc_without_student": round(auc(test.liked, alone.score(test.batch).click), 4),
        "auc_of_the_imitation": round(auc(test.liked, tutored.imitate(test.batch)), 4),
        "student": vars(tutored.student),
        "ms_per_100_pairs": round(1000 * _best_of(lambda: tutored.score(test.batch.take(np.arange(100)))), 2),
        "student_ms_per_100_pairs": _student_ms(corpus, base),
    }


def _student_ms(corpus: Corpus, base: Path, n: int = 100) -> float:
    """What the tuned student would take for as many pairs; an adapter costs nothing once merged."""
    student = untutored(base, TutorConfig(prompt=PROMPT, lora=LoraConfig()))
    cases = corpus.lesson(corpus.test[:n]).cases
    return round(1000 * _best_of(lambda: student.decide(cases), 1) * 100 / len(cases), 1)


def _best_of(work: Any, n: int = 5) -> float:
    """Seconds of the quickest of n."""
    taken = []
    for _ in range(n):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _contents(corpus: Corpus) -> dict[str, np.ndarray[Any, Any]]:
    ids = sorted(corpus.products)
    texts = [f"{corpus.products[key].title}. {corpus.products[key].description}" for key in ids]
    return dict(zip(ids, TextEncoder().encode(texts), strict=True))


def _examples(corpus: Corpus, pairs: list[Pair], contents: dict[str, np.ndarray[Any, Any]]) -> TrainingSet:
    batch = plain_batch(
        np.array([pair.consumer for pair in pairs], object), np.array([pair.product for pair in pairs], object)
    )
    who, n = batch.consumers, len(pairs)
    for row, pair in enumerate(pairs):
        for place, (product, liked) in enumerate(pair.history[::-1][:HISTORY_LENGTH]):
            who.history_ids[row, place], who.history_ratings[row, place] = product, 5.0 if liked else 1.0
        who.numeric[row, 0] = len(pair.history)
        who.numeric[row, 3] = np.mean([liked for _, liked in pair.history] or [np.nan])
        n_liked, n_known = corpus.counts(pair.product, pair.consumer)
        batch.products.numeric[row, 0] = n_known
        batch.products.numeric[row, 3] = n_liked / n_known if n_known else np.nan
    table = np.stack([contents[pair.product] for pair in pairs]).astype(np.float32).reshape(n, CONTENT_WIDTH)
    products = replace(batch.products, content=Indexed(table, np.arange(n, dtype=np.int32)))
    return training_set(replace(batch, products=products), np.array([pair.liked for pair in pairs], bool))
