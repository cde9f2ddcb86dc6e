"""Acceptance 8: tuned scores tell better what consumers choose, and the format loss keeps answers readable."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from features.errors import TrainingError
from models.attributes.choices import Choices
from models.attributes.listed import Attribute
from models.attributes.tuned import (
    LEAST_SPREAD,
    RankingLoss,
    ScoreTraining,
    ScoreTuningConfig,
    TunedScores,
    tune_scores,
)
from models.attributes.written import ListForm
from models.lora.low_rank import LoraConfig
from models.lora.student import Student

ATTRIBUTES = (Attribute(name="heat", description="how warm"), Attribute(name="noise", description="how loud"))
LORA = LoraConfig(
    rank=8, dropout=0.0, modules=("q_proj", "k_proj", "v_proj", "o_proj"), batch_size=8, rate=1e-2, epochs=40
)
BRIEF = ScoreTuningConfig(lora=LORA.model_copy(update={"epochs": 2, "dropout": 0.1, "save_every": 1}), gain=1.0)


def a_form(base: Path, config: ScoreTuningConfig = BRIEF) -> ListForm:
    return ListForm(Student(base, config.lora, seed=1, dtype=torch.float32), ATTRIBUTES, config.max_text)


def tuned(form: ListForm, world, config: ScoreTuningConfig = BRIEF, **more) -> TunedScores:
    return tune_scores(form, world.texts, world.numbers, world.choices, config, **more)


@pytest.fixture(scope="module")
def by_losses(tiny_base: Path, world):
    """What tuning by L_rec and L_format with these weights comes to: scores, ranking loss and parse rate."""

    @cache
    def outcome(recommendation: float, form: float) -> tuple[TunedScores, float, float]:
        config = ScoreTuningConfig(lora=LORA, gain=1.0, recommendation=recommendation, form=form)
        own = a_form(tiny_base, config)
        scores = tuned(own, world, config)
        return scores, ranking_loss(world, scores, scores.tuned), own.parse_rate(world.texts)

    return outcome


def ranking_loss(world, scores: TunedScores, values: np.ndarray) -> float:
    """Of all choices among all products."""
    loss = RankingLoss(world.choices, scores.untuned, BRIEF)
    return float(loss(torch.arange(len(world.choices)), torch.arange(len(values)), torch.from_numpy(values)))


def gap(world, values: np.ndarray) -> float:
    """How far apart the two kinds' scores are, in points, on the attribute that tells them apart most."""
    return float(np.abs(values[world.warm].mean(0) - values[~world.warm].mean(0)).max())


@pytest.mark.slow
def test_the_recommendation_loss_alone_makes_scores_tell_what_consumers_take(by_losses, world) -> None:
    scores, loss, _ = by_losses(1.0, 0.0)
    assert gap(world, scores.tuned) > 2 * gap(world, scores.untuned)
    assert loss < ranking_loss(world, scores, scores.untuned) - 0.15


@pytest.mark.slow
def test_the_format_loss_has_the_list_written_back_and_without_it_the_form_is_not_learned(by_losses) -> None:
    assert by_losses(0.0, 0.5)[2] >= 0.99
    assert by_losses(1.0, 0.0)[2] < 0.5


@pytest.mark.slow
def test_both_losses_together_keep_the_form_and_rank_better_than_the_form_alone(by_losses, world) -> None:
    scores, loss, parse_rate = by_losses(1.0, 0.5)
    assert parse_rate >= 0.99
    assert loss < by_losses(0.0, 0.5)[1]
    assert loss < ranking_loss(world, scores, scores.untuned)


def test_no_event_held_out_is_seen(world) -> None:
    """What is held out is named nowhere: not as taken, not as past, not as something a consumer has."""
    known, target = world.histories.without_last()
    choices = Choices.of(known, 4, world.base())
    held_out = set(zip(range(len(known)), target.tolist(), strict=True))
    consumer = choices.consumer.tolist()
    named = set(zip(consumer, choices.taken.tolist(), strict=True))
    named |= {(who, it - 1) for who, past in zip(consumer, choices.history.tolist(), strict=True) for it in past}
    named |= set(zip(*(it.tolist() for it in choices.had.nonzero()), strict=True))
    assert len(held_out) == 24
    assert not held_out & named


def test_each_choice_stands_among_what_its_consumer_never_had(world) -> None:
    choices, every = world.choices, torch.arange(16)
    offered = choices.offered(torch.arange(len(choices)), every)
    for n, row in enumerate(offered):
        own = world.histories.product[world.histories.consumer == int(choices.consumer[n])]
        assert set(np.flatnonzero(~row.numpy())) == set(own) - {int(choices.taken[n])}
    past = choices.history[0]
    assert past.tolist() == [0, 0, 0, int(world.histories.product[0]) + 1]
    assert int(choices.taken[0]) == world.histories.product[1]


def test_an_epoch_goes_through_all_products_with_a_few_choices_of_each(tiny_base: Path, world) -> None:
    training = a_training(a_form(tiny_base), world)
    batches = training.batches(0)
    assert sorted(torch.cat([batch.products for batch in batches]).tolist()) == list(range(16))
    for batch in batches:
        taken = world.choices.taken[batch.events]
        assert set(taken.tolist()) <= set(batch.products.tolist())
        assert torch.bincount(taken).max() <= BRIEF.choices
    assert all(map(torch.equal, batches[0], training.batches(0)[0]))
    assert not torch.equal(batches[0].products, training.batches(1)[0].products)


def a_training(form: ListForm, world) -> ScoreTraining:
    rows = form.rows(world.texts, world.numbers)
    return ScoreTraining(form, rows, RankingLoss(world.choices, world.numbers, BRIEF), BRIEF)


def test_a_ranking_score_is_base_plus_gain_times_level_times_standard_score(world) -> None:
    stored, config = world.numbers.astype(np.float32), BRIEF.model_copy(update={"gain": 0.7})
    base = world.choices.base
    choices = replace(world.choices, base=base._replace(bias=torch.linspace(-1, 1, 16)))
    loss = RankingLoss(choices, stored, config)
    event, products = 2, torch.tensor([int(choices.taken[2]), *range(4)])
    z = (stored - stored.mean(0)) / np.maximum(stored.std(0), LEAST_SPREAD)
    past = [int(it) - 1 for it in choices.history[event] if it]
    weight = config.recency ** np.arange(len(past))[::-1]
    level = (weight[:, None] * z[past]).sum(0) / weight.sum()
    logits = base.of(torch.tensor([event]), products)[0].detach().numpy() + np.linspace(-1, 1, 16)[products]
    logits = logits + 0.7 * z[products] @ level
    offered = choices.offered(torch.tensor([event]), products)[0].numpy()
    expected = np.log(np.exp(logits[offered]).sum()) - logits[0]
    found = loss(torch.tensor([event]), products, torch.from_numpy(stored)[products])
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_gives_the_same_scores(tiny_base: Path, world) -> None:
    one, same, other = (tuned(a_form(tiny_base), world, seed=seed).tuned for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_stopped_tuning_ends_in_the_same_adapter(tiny_base: Path, world, tmp_path: Path) -> None:
    def stop_at_three(what: str, done: int, _: int) -> None:
        if (what, done) == ("tuning", 3):
            raise KeyboardInterrupt

    whole, parts, again = (a_form(tiny_base) for _ in range(3))
    tuned(whole, world)
    with pytest.raises(KeyboardInterrupt):
        tuned(parts, world, part=tmp_path, progress=stop_at_three)
    taken_up: list[int] = []
    tuned(
        again, world, part=tmp_path, progress=lambda what, done, _: taken_up.append(done) if what == "tuning" else None
    )
    assert taken_up == [3, 4]
    for name, weight in whole.student.trained.items():
        assert torch.equal(weight, again.student.trained[name])
        assert weight.abs().max() > 0


def test_the_epoch_whose_scores_are_best_is_kept(tiny_base: Path, world) -> None:
    seen: list[np.ndarray] = []

    def falling(scores: np.ndarray) -> float:
        seen.append(scores)
        return -float(len(seen))

    scores = tuned(a_form(tiny_base), world, validate=falling)
    assert scores.report.best_epoch == 1
    assert np.array_equal(scores.tuned, seen[0])
    assert not np.array_equal(scores.tuned, seen[1])


def test_a_loss_that_is_no_number_stops_tuning(tiny_base: Path, world) -> None:
    form = a_form(tiny_base)
    layer = next(iter(form.student.changed.values()))
    layer.down.data.fill_(float("nan"))
    layer.up.data.fill_(1.0)
    with pytest.raises(TrainingError, match="loss became nan"):
        tuned(form, world)


def test_a_tuning_that_would_learn_nothing_is_an_error() -> None:
    with pytest.raises(ValidationError, match="nothing would be learned"):
        ScoreTuningConfig(recommendation=0, form=0)
