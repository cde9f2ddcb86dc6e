"""Tunes the embedded language model and says what that reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from features.settings import HostSettings

if TYPE_CHECKING:
    from models.base import Progress as Told


def tune_here(settings: HostSettings, out: Path, seed: int, n_examples: int) -> None:
    """Trains an adapter (or finishes one), tries it on unseen domains and writes its card.

    Args:
        settings: of this host.
        out: folder of the adapter.
        seed: of examples and training.
        n_examples: sentences to learn from; 0 leaves the config's own.
    """
    from models.llm.gguf import converted
    from models.llm.local import EmbeddedEngine
    from models.tuning import TuningConfig, tune, unseen_pass_rate, write_card

    config = TuningConfig(seed=seed, n_examples=n_examples) if n_examples else TuningConfig(seed=seed)
    with _shown() as progress:
        report = tune(converted(settings.models), out, config, progress)
    passed = unseen_pass_rate(EmbeddedEngine(settings.models, adapter=out), seed)
    card = write_card(out, config, report, passed)
    Console().print(
        f"{report.steps} steps on {report.tokens:,} tokens; loss on unseen domains {report.untuned_loss} -> "
        f"{report.valid_loss}; {passed:.1%} of the texts about them pass the gates. See {card}."
    )


def instruct_here(settings: HostSettings, out: Path, seed: int, instructions: Path, n_rows: int) -> None:
    """Trains an adapter on a file of instructions (or finishes one) and writes its card.

    Args:
        settings: of this host.
        out: folder of the adapter.
        seed: of the choice of instructions and of training.
        instructions: the file.
        n_rows: instructions to learn from at most; 0 is all.
    """
    from models.llm.gguf import converted
    from models.lora.instructions import InstructionConfig, tune_on_instructions

    with _shown() as progress:
        config = InstructionConfig(seed=seed, n_rows=n_rows)
        report = tune_on_instructions(converted(settings.models), out, instructions, config, progress)
    Console().print(
        f"{report.steps} steps on {report.tokens:,} tokens; loss on unseen instructions {report.untuned_loss} -> "
        f"{report.valid_loss}. A student begins with it where its settings have start = {str(out)!r}."
    )


@contextmanager
def _shown() -> Iterator[Told]:
    """A bar on the terminal, and as many threads as there are free cores."""
    from models.threads import free_cores, torch_threads

    with Progress(console=Console(stderr=True)) as bar, torch_threads(free_cores()):
        task = bar.add_task("tuning")
        yield lambda _, done, total: bar.update(task, completed=done, total=total)
