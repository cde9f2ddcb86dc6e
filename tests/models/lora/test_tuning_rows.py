"""Which rows are tuned on, and what is cut where a prompt is too long."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import TrainingError
from models.lora.rows import Row, batches, latest_that_fit
from models.lora.shots import balanced_shots, most_shots

LIKED = np.array([1] * 30 + [0] * 10)


def test_shots_are_exact_halves_and_the_same_for_a_seed() -> None:
    shots = balanced_shots(LIKED, 16, seed=3)
    assert LIKED[shots].sum() == 8
    assert len(set(shots)) == 16
    assert (shots == balanced_shots(LIKED, 16, seed=3)).all()
    assert (shots != balanced_shots(LIKED, 16, seed=4)).any()


def test_fewer_shots_are_among_more() -> None:
    assert set(balanced_shots(LIKED, 8, seed=3)) < set(balanced_shots(LIKED, 16, seed=3))


@pytest.mark.parametrize("k", [7, 22, 0])
def test_halves_that_are_not_there_are_an_error(k: int) -> None:
    assert most_shots(LIKED) == 20
    with pytest.raises(TrainingError, match="30 liked and 10 other"):
        balanced_shots(LIKED, k)


def test_history_is_cut_at_its_old_end() -> None:
    entries = [[1, 1], [2, 2, 2], [3], [4, 4]]
    assert latest_that_fit(entries, 6) == [[2, 2, 2], [3], [4, 4]]
    assert latest_that_fit(entries, 5) == [[3], [4, 4]]
    assert latest_that_fit(entries, 1) == []


def test_every_row_is_in_one_batch_with_rows_of_its_length() -> None:
    rows = [Row([0] * (1 + n % 30), 1) for n in range(100)]
    made = batches(rows, 8, seed=1)
    assert sorted(map(id, (row for batch in made for row in batch))) == sorted(map(id, rows))
    assert sum(max(len(r.tokens) for r in b) * len(b) for b in made) < 1.2 * sum(len(row.tokens) for row in rows)
    assert [[len(row.tokens) for row in batch] for batch in made] != [
        [len(row.tokens) for row in batch] for batch in batches(rows, 8, seed=2)
    ]
