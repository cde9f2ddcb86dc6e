"""A training that is killed goes on from its last checkpoint and ends in the same weights, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.backbones.collaborative import CollaborativeConfig
from models.base import FitReport, RunContext
from models.members import Members
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.testing import SCALE, rich_batch, rich_training_set
from models.training import LoopSettings, fit_epochs, fit_module, seeded

ROWS, BATCH, EPOCHS = 40, 8, 4
STEPS = ROWS // BATCH
SETTINGS = LoopSettings(EPOCHS, EPOCHS, BATCH, learning_rate=0.05)


class Killed(Exception):
    """Stands for the end of the process."""


def problem() -> tuple[Tensor, Tensor]:
    x = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))
    return x, x.sum(1).sin()


def trained(
    run: RunContext, killed_at: int | None = None, start: int = 1, held_out: bool = True
) -> tuple[Members, FitReport | None, int]:
    """Two members with dropout, a training that dies before that step of this process, and the steps it took."""
    (x, y), steps = problem(), 0
    with seeded(start):
        members = Members(lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)), 2)

        def error(rows: Tensor) -> Tensor:
            found: Tensor = (members(x[rows]).squeeze(-1) - y[rows]).square().mean(-1)
            return found

        def lesson(rows: Tensor) -> Tensor:
            nonlocal steps
            if steps == killed_at:
                raise Killed
            steps += 1
            return error(rows)

        if not held_out:
            fit_epochs(members, ROWS, lesson, SETTINGS, run)
            return members, None, steps
        return members, fit_module(members, ROWS, lesson, lambda: error(torch.arange(ROWS)), SETTINGS, run), steps


def weights(module: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    """Writes before every step."""
    return RunContext(seed=3, state=tmp_path / "state", save_seconds=0.0)


@pytest.mark.parametrize("killed_at", [0, 1, STEPS, 2 * STEPS + 3, EPOCHS * STEPS - 1])
@pytest.mark.parametrize("held_out", [True, False])
def test_a_killed_training_ends_in_the_same_weights(run: RunContext, killed_at: int, held_out: bool) -> None:
    members, report, _ = trained(replace(run, state=None), held_out=held_out)
    with pytest.raises(Killed):
        trained(run, killed_at, held_out=held_out)
    again, resumed, steps = trained(run, held_out=held_out)
    assert weights(again) == weights(members)
    assert steps == EPOCHS * STEPS - killed_at
    if report is not None and resumed is not None:
        assert replace(resumed, seconds=0.0) == replace(report, seconds=0.0)


def test_it_may_be_killed_again_and_again(run: RunContext) -> None:
    members, _, _ = trained(replace(run, state=None))
    for _ in range(3):
        with pytest.raises(Killed):
            trained(run, 4)
    again, _, steps = trained(run)
    assert steps == EPOCHS * STEPS - 12
    assert weights(again) == weights(members)


def test_between_two_writes_the_last_one_counts(run: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("models.checkpoint.time.monotonic", lambda: float(next(clock)))
    members, _, _ = trained(replace(run, state=None))
    with pytest.raises(Killed):
        trained(replace(run, save_seconds=6.0), 8)
    again, _, steps = trained(run)
    assert EPOCHS * STEPS - 8 < steps < EPOCHS * STEPS
    assert weights(again) == weights(members)


def test_what_is_finished_is_not_trained_again(run: RunContext) -> None:
    members, report, _ = trained(run)
    again, found, steps = trained(run)
    assert steps == 0
    assert weights(again) == weights(members)
    assert report is not None
    assert found is not None
    assert replace(found, seconds=0.0) == replace(report, seconds=0.0)


def test_a_training_from_another_start_finds_nothing(run: RunContext) -> None:
    trained(run)
    assert trained(run, start=2)[2] == EPOCHS * STEPS
    assert trained(replace(run, seed=4))[2] == EPOCHS * STEPS


def test_a_damaged_state_counts_for_nothing(run: RunContext, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Killed):
        trained(run, STEPS + 1)
    (path,) = list((run.state or Path()).iterdir())
    path.write_bytes(path.read_bytes()[:-7])
    members, _, steps = trained(run)
    assert steps == EPOCHS * STEPS
    assert "starts anew" in caplog.text
    assert weights(members) == weights(trained(replace(run, state=None))[0])


def test_a_state_that_cannot_be_written_stops_nothing(run: RunContext, caplog: pytest.LogCaptureFixture) -> None:
    (run.state or Path()).write_text("a file where the folder should be")
    assert trained(run)[2] == EPOCHS * STEPS
    assert "cannot be kept" in caplog.text


def test_progress_goes_on_where_it_was(run: RunContext) -> None:
    with pytest.raises(Killed):
        trained(run, 2 * STEPS + 1)
    seen: list[int] = []
    trained(replace(run, progress=lambda what, done, total: seen.append(done)))
    assert seen == [2, 3, 4]


TOY = LRRecsysConfig(
    embedding_size=8, hidden=(8,), batch_size=32, epochs=3, members=2, joint=0.1,
    collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=10, burn_in=5, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


def test_a_killed_method_scores_as_if_it_had_not_been(run: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid, batch = rich_training_set(128), rich_training_set(32, 5), rich_batch(20, 9)

    def fitted(run: RunContext) -> LRRecsys:
        method = LRRecsys(TOY, SCALE)
        method.fit(train, valid, run)
        return method

    def die(what: str, done: int, total: int) -> None:
        if what.startswith("train") and done == 2:
            raise Killed

    whole = fitted(replace(run, state=None)).score(batch)
    with pytest.raises(Killed):
        fitted(replace(run, progress=die))
    monkeypatch.setattr("models.methods.lr_recsys.Collaborative.fit", None)  # what ratings say was kept too
    resumed = fitted(run).score(batch)
    np.testing.assert_array_equal(resumed.rating, whole.rating)
    np.testing.assert_array_equal(resumed.click, whole.click)
