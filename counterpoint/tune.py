"""Tunes the embedded language model and says what that reached."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from features.settings import HostSettings


def tune_here(settings: HostSettings, out: Path, seed: int, n_examples: int) -> None:
    """Trains an adapter (or finishes one), tries it on unseen domains and writes its card."""
    from models.llm.gguf import converted
    from models.llm.local import EmbeddedEngine
    from models.threads import free_cores, torch_threads
    from models.tuning import TuningConfig, tune, unseen_pass_rate, write_card

    config = TuningConfig(seed=seed, n_examples=n_examples)
    with Progress(console=Console(stderr=True)) as bar, torch_threads(free_cores()):
        task = bar.add_task("tuning")
        report = tune(
            converted(settings.models),
            out,
            config,
            lambda _, done, total: bar.update(task, completed=done, total=total),
        )
    passed = unseen_pass_rate(EmbeddedEngine(settings.models, adapter=out), seed)
    card = write_card(out, config, report, passed)
    Console().print(
        f"{report.steps} steps on {report.tokens:,} tokens; loss on unseen domains {report.untuned_loss} -> "
        f"{report.valid_loss}; {passed:.1%} of the texts about them pass the gates. See {card}."
    )
