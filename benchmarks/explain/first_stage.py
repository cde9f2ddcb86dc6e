"""Stage A of students that are tuned in two stages: questions about another dataset's consumers, of one epoch.

The paper's stage A is general instructions, of which none are at hand. ML-1M's consumers rated in other years than
ML-100K's, whose prompts are tested, and share no event with them; they share films, so what is carried over is the
form of the question and also what people think of films.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.reasoning.data import load, shots_of
from benchmarks.reasoning.runs import LORA, code_hash
from features.types import content_hash
from models.base import Progress
from models.explain_rec.student import TALLREC
from models.llm.adapter import WEIGHTS
from models.llm.weights import MODEL_NAME
from models.lora.shots import balanced_shots
from models.reasoning.tutor import Lesson, TutorConfig, tutor

SOURCE, N_ROWS = "ml-1m", 256
CONFIG = TutorConfig(prompt=TALLREC, lora=LORA.model_copy(update={"epochs": 1, "patience": 0}))


def first_stage(data: Path, seed: int, base: Path, kept: Path, progress: Progress) -> Path:
    """The adapter of stage A, made unless it is kept already.

    Args:
        data: the folder of datasets.
        seed: of the rows and of the training.
        base: folder with the converted weights.
        kept: where adapters are kept.
        progress: of the tuning.
    """
    folder = kept / f"first-stage-{seed}-{content_hash(code_hash(), SOURCE, N_ROWS, repr(CONFIG))[:12]}"
    if (folder / WEIGHTS).exists():
        return folder
    corpus = load(SOURCE, data)
    rows = balanced_shots(shots_of(corpus.train), N_ROWS, seed)
    lesson = corpus.lesson([corpus.train[row] for row in rows])
    tutored = tutor(base, lesson, Lesson.of([], []), CONFIG, seed, folder.with_suffix(".part"), progress)
    tutored.student.write(folder, MODEL_NAME)
    return folder
