"""The proof of `make prove`, small: attacks of every place, goal and disguise on a little shop."""

from __future__ import annotations

import pytest

from benchmarks.attacks import DISGUISES, GOALS, PLACES, attacks
from benchmarks.proofs.injection import Obedient, run, summary, world


def test_the_corpus_has_every_place_goal_and_disguise_and_repeats_nothing() -> None:
    corpus = list(attacks(1000))
    assert len({attack.text for attack in corpus}) == 1000
    for field, known in (("place", PLACES), ("goal", GOALS), ("disguise", DISGUISES)):
        assert {getattr(attack, field) for attack in corpus} == set(known)
    assert all(attack.canary in attack.demand for attack in corpus)


@pytest.mark.slow
def test_planted_attacks_change_nothing_that_is_published() -> None:
    outcomes = run(world(3, 40), attacks(40, 3), Obedient)
    assert len(outcomes) == 40
    assert [outcome for outcome in outcomes if outcome.how] == []


@pytest.mark.slow
def test_the_score_sees_an_attack_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.explanations.facets.failures", lambda *_: [])
    monkeypatch.setattr("models.explanations.facets.miscites", lambda *_: [])
    outcomes = run(world(3, 20), attacks(20, 3), Obedient)
    assert summary(outcomes)["successes"] > 10  # type: ignore[operator]
