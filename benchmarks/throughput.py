"""How fast the embedded engine writes: prompts of 144 tokens, of which 124 are shared, and 48 new tokens each."""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from features.types import EntityKind, Fact, Slot, TextRequest

if TYPE_CHECKING:
    from models.llm.local import EmbeddedEngine

SHARED_TOKENS, OWN_TOKENS, NEW_TOKENS = 124, 20, 48
GOAL = 8.0
"""Texts per second that are promised on 2 cores."""


@dataclass(frozen=True)
class Speed:
    """What calls with one setting took. Processor time is that of all threads, and little disturbed by a busy host."""

    answers: str
    """`forced`: 48 tokens each. `natural`: they end by themselves."""
    batch_size: int
    threads: int
    texts: int
    tokens: int
    """New tokens of one call, openings not counted."""
    first_call_seconds: float
    seconds: tuple[float, ...]
    """Of the calls after the first."""
    processor_seconds: tuple[float, ...]
    load_before: float
    """Mean load of the minute before; above 0.3 the machine was not idle."""
    peak_memory_mib: int
    """Of the process so far."""

    def figures(self) -> dict[str, Any]:
        """As written to the result file."""
        return {
            **asdict(self),
            "texts_per_second": {"best": round(self.texts_per_second, 2), "median": self._median(self.texts)},
            "tokens_per_second": {
                "best": round(self.tokens / min(self.seconds), 1),
                "median": self._median(self.tokens),
            },
            "texts_per_processor_second": round(self.texts / min(self.processor_seconds), 2),
        }

    @property
    def texts_per_second(self) -> float:
        """Of the fastest call."""
        return self.texts / min(self.seconds)

    def _median(self, amount: int) -> float:
        return round(amount / statistics.median(self.seconds), 2)


def loaded(folder: Path, device: str = "cpu") -> tuple[EmbeddedEngine, dict[str, Any]]:
    """An engine ready to write, and what making it ready took, with importing torch."""
    converted, started = folder.is_dir(), time.perf_counter()
    from models.llm.local import EmbeddedEngine

    engine = EmbeddedEngine(folder, device=device)
    dtype = str(engine._model.network.embedding.dtype)
    seconds = round(time.perf_counter() - started, 2)
    return engine, {"dtype": dtype, "cold_load_seconds": seconds, "weights_were_converted_before": converted}


def forced(engine: EmbeddedEngine, batch_size: int, threads: int, texts: int, repeats: int) -> Speed:
    """Every answer is 48 tokens long."""
    requests = fixed_requests(engine, texts)
    with _endless(engine):
        speed = _measured(engine, requests, "forced", batch_size, threads, repeats)
    if speed.tokens != texts * NEW_TOKENS:
        raise AssertionError(f"{speed.tokens} tokens were written instead of {texts * NEW_TOKENS}.")
    return speed


def natural(engine: EmbeddedEngine, batch_size: int, threads: int, texts: int, repeats: int) -> Speed:
    """Facets as a run asks for them: one slot per row, answers that end by themselves."""
    from models.explanations.facets import FacetConfig, facet_requests

    requests = facet_requests(_facts(texts), engine.identity, FacetConfig())
    return _measured(engine, requests, "natural", batch_size, threads, repeats)


def fixed_requests(engine: EmbeddedEngine, n: int) -> list[TextRequest]:
    """Requests of exactly 124 shared and 20 own tokens."""
    tokens = engine._model.tokens
    system = _filled("You say in plain words why a person likes", lambda text: tokens.of_system(text), SHARED_TOKENS)
    return [
        TextRequest("speed", str(k), system, _filled(f"{k}:", tokens.of_turn, OWN_TOKENS), (slot,), engine.identity)
        for k in range(n)
        for slot in (Slot("", NEW_TOKENS),)
    ]


def transformers_speed(folder: Path, requests: Sequence[TextRequest], threads: int, repeats: int) -> dict[str, Any]:
    """The same work by transformers' `generate`, the shared text's keys and values copied to every row."""
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    from models.llm.network import best_dtype
    from models.llm.tokens import Tokens
    from models.threads import torch_threads

    tokens, n = Tokens(folder, True), len(requests)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=best_dtype("cpu")).eval()
    shared = torch.tensor([tokens.of_system(requests[0].system)])
    ids = torch.tensor([shared[0].tolist() + tokens.of_turn(request.prompt) for request in requests])
    seconds, processor = [], []
    with torch_threads(threads), torch.inference_mode():
        for _ in range(repeats + 1):
            wall, busy = time.perf_counter(), time.process_time()
            cache = DynamicCache(config=model.config)
            model(shared, past_key_values=cache)
            cache.batch_repeat_interleave(n)
            options = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS, "do_sample": False}
            model.generate(ids, attention_mask=torch.ones_like(ids), past_key_values=cache, **options)
            seconds.append(time.perf_counter() - wall)
            processor.append(time.process_time() - busy)
    return {
        "batch_size": n,
        "threads": threads,
        "texts_per_second": {
            "best": round(n / min(seconds[1:]), 2),
            "median": round(n / statistics.median(seconds[1:]), 2),
        },
        "texts_per_processor_second": round(n / min(processor[1:]), 2),
    }


def plot(speeds: Sequence[Speed], path: Path) -> None:
    """Texts per second by batch size, a line per number of threads and kind of answers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for answers, threads in sorted({(speed.answers, speed.threads) for speed in speeds}):
        line = [speed for speed in speeds if (speed.answers, speed.threads) == (answers, threads)]
        sizes, heights = [speed.batch_size for speed in line], [speed.texts_per_second for speed in line]
        style = "o-" if answers == "forced" else "s--"
        label = "48 tokens each" if answers == "forced" else "ending by themselves"
        axes.plot(sizes, heights, style, label=f"{label}, {threads} thread{'s'[: threads - 1]}")
    axes.axhline(GOAL, color="grey", linewidth=1, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({speed.batch_size for speed in speeds}), labels=None)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="rows decoded together", ylabel="texts per second", title="Embedded engine")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _measured(
    engine: EmbeddedEngine, requests: Sequence[TextRequest], answers: str, batch_size: int, threads: int, repeats: int
) -> Speed:
    load = os.getloadavg()[0]
    engine.batch_size, engine.threads = batch_size, threads
    seconds, processor = [], []
    for _ in range(repeats + 1):
        wall, busy = time.perf_counter(), time.process_time()
        completions = list(engine.complete(requests))
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - busy)
    openings = sum(len(engine._model.tokens.of(slot.opening)) for request in requests for slot in request.slots)
    return Speed(
        answers=answers,
        batch_size=batch_size,
        threads=threads,
        texts=len(completions),
        tokens=sum(completion.completion_tokens for completion in completions) - openings,
        first_call_seconds=round(seconds[0], 3),
        seconds=tuple(round(second, 3) for second in seconds[1:]),
        processor_seconds=tuple(round(second, 3) for second in processor[1:]),
        load_before=round(load, 2),
        peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    )


@contextmanager
def _endless(engine: EmbeddedEngine) -> Iterator[None]:
    """Answers run to their limit inside: no token and no full stop ends them."""
    ends = engine._model.tokens.ends
    engine._model.tokens.ends = frozenset()
    try:
        with patch("models.llm.decoding.sentence_end", lambda text: None):
            yield
    finally:
        engine._model.tokens.ends = ends


def _filled(start: str, encode: Any, n_tokens: int) -> str:
    """A text of exactly that many tokens: the start, then as many words as it takes."""
    text = start
    while len(encode(text)) < n_tokens:
        text += " film"
    if len(encode(text)) != n_tokens:
        raise AssertionError(f"{start!r} cannot be filled up to {n_tokens} tokens.")
    return text


def _facts(n: int) -> list[Fact]:
    """Facts about consumers, short and long, as the readers make them."""
    genres = ("rock", "jazz", "opera", "folk", "blues", "film music", "early baroque")
    titles = ("Night Train", "Oak", "A Love of Three Oranges", "Blue", "The Long Way Back Home", "Harvest Moon")
    plain = Fact("", EntityKind.CONSUMER, "", "", "", 1, 1.0, "ratings", datetime(2024, 1, 1, tzinfo=UTC))
    return [
        replace(
            plain,
            fact_id=f"f{k}",
            entity_id=f"c{k}",
            aspect=f"genre={genres[k % 7]}",
            text=f"rated {k % 40 + 2} {genres[k % 7]} records 4.{k % 10} of 5 on average, above their usual 3.{k % 8}; "
            f"among them {titles[k % 6]} and {titles[(k // 6 + 1) % 6]}",
        )
        for k in range(n)
    ]
