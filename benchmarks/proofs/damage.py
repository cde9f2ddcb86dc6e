"""A damaged ledger serves nothing wrong and buys nothing twice.

Bytes anywhere in a SQLite ledger's file are overwritten at random, one, some or a page of them; then a run asks for
what the ledger holds. Either it stops with an error that names the file, or it serves exactly what was recorded. It
never asks the engine: an answer that only seems to be missing would be bought again.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proofs import Proof
from features.errors import StoreError
from features.ledger import Ledger
from features.types import Completion, Slot, TextRequest
from models.llm.generate import generate
from models.llm.scripted import SCRIPTED, ScriptedEngine

N_FILES, N_ANSWERS = 2_000, 40
SIZES = (1, 1, 64, 4096)
"""How many bytes are overwritten."""


@dataclass(frozen=True)
class DamageFigures:
    """What became of the files."""

    files: int
    stopped: int
    """Runs that stopped and named the file."""
    served_right: int
    """Runs that met no damage: it lay where no answer is."""
    served_wrong: int
    bought_again: int
    """Answers that were there and were asked for again."""

    @property
    def kept(self) -> bool:
        """Whether every run stopped or was right, and none bought anything."""
        return self.stopped + self.served_right == self.files and self.served_wrong == self.bought_again == 0


def prove() -> Proof:
    """2,000 damaged files."""
    with tempfile.TemporaryDirectory() as folder:
        figures = damage_files(Path(folder), N_FILES)
    return Proof("A damaged ledger serves nothing wrong and buys nothing twice.", figures.kept, vars(figures))


def damage_files(folder: Path, n_files: int, seed: int = 0) -> DamageFigures:
    """Damages a ledger in the empty folder that many times, each time from the whole file."""
    path = folder / "ledger.sqlite"
    prompts = [f"Prompt {n} {'x' * 400}" for n in range(N_ANSWERS)]
    requests = [TextRequest("facets", "c", "S", prompt, (Slot("Likes"),), SCRIPTED) for prompt in prompts]
    with Ledger(f"sqlite:///{path}") as ledger:
        expected = dict(generate(requests, ScriptedEngine(), ledger).completions)
    whole, chance = path.read_bytes(), random.Random(seed)
    outcomes = []
    for _ in range(n_files):
        for file in folder.iterdir():  # a run that stopped leaves its write-ahead log
            file.unlink()
        path.write_bytes(_damaged(whole, chance))
        outcomes.append(_ask(path, requests))
    served = [answers for answers, _ in outcomes if answers is not None]
    return DamageFigures(
        files=n_files,
        stopped=n_files - len(served),
        served_right=served.count(expected),
        served_wrong=len(served) - served.count(expected),
        bought_again=sum(n_bought for _, n_bought in outcomes),
    )


def _damaged(whole: bytes, chance: random.Random) -> bytes:
    size = chance.choice(SIZES)
    start = chance.randrange(len(whole) - size)
    return whole[:start] + chance.randbytes(size) + whole[start + size :]


def _ask(path: Path, requests: list[TextRequest]) -> tuple[dict[str, Completion] | None, int]:
    """What a run was served, or None if it stopped and named the file; and how many answers it bought."""
    engine = ScriptedEngine()
    with Ledger(f"sqlite:///{path}") as ledger:
        try:
            return dict(generate(requests, engine, ledger).completions), len(engine.seen)
        except StoreError as error:
            if str(path) not in str(error):
                raise
            return None, len(engine.seen)
