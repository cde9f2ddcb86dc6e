"""Codes that are trained on with the ranker: off is the method as it was, on learns and can still be led back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from features.batch import CODE_WIDTH
from models.backbones.collaborative import CollaborativeConfig
from models.backbones.factorization import Belief
from models.backbones.inputs import Inputs
from models.backbones.joint import Codes, Joint
from models.backbones.preparation import Preparation
from models.backbones.reasons import Reasons, Told
from models.base import RunContext
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.testing import SCALE, planted_reasons, rich_training_set

TOY = LRRecsysConfig(
    embedding_size=16, hidden=(32,), dropout=0.0, batch_size=64, learning_rate=5e-3, epochs=6, patience=6,
    collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=10, burn_in=5, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


def inputs() -> Inputs:
    train = rich_training_set(64)
    believed = Belief(torch.arange(1.0, 6.0), torch.full((64, 4), 0.5), torch.zeros(64))
    return Preparation.learn(train, SCALE).inputs(train.batch, believed)


def fields(joint: bool, weights: dict[str, Tensor] | None = None) -> tuple[Reasons, Told]:
    torch.manual_seed(0)
    reasons = Reasons(16, "full", 0.2, joint).eval()
    if weights is not None:
        reasons.load_state_dict(weights, strict=False)
    return reasons, reasons(inputs())


def test_off_has_nothing_of_it() -> None:
    reasons, told = fields(joint=False)
    assert not [name for name, _ in reasons.named_parameters() if "joint" in name]
    assert told.reconstruction == 0


def test_it_starts_as_the_codes_that_are_stored() -> None:
    off, expected = fields(joint=False)
    _, told = fields(joint=True, weights=off.state_dict())
    for mine, theirs in zip(told, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_closeness_is_that_of_the_moved_codes() -> None:
    batch, joint = inputs(), Joint(CODE_WIDTH)
    nn.init.normal_(joint.encoder[2].weight)
    stored = Codes.stored(batch)
    torch.testing.assert_close(stored.closeness(batch), batch.closeness, atol=1e-5, rtol=0)
    moved = joint(stored).closeness(batch)
    assert not torch.allclose(moved, batch.closeness, atol=0.1)
    nothing = (batch.closeness == 0).all(-1)
    assert nothing.any()
    assert (moved[nothing] == 0).all()  # codes may move; who has none has none


def test_the_ranker_moves_codes_and_all_of_it_learns() -> None:
    method = LRRecsys(TOY.model_copy(update={"joint": 0.1, "epochs": 1}), SCALE)
    train = rich_training_set(256)
    method.fit(train, rich_training_set(32, 5), RunContext(seed=1))
    fit = method._fitted()
    fit.network.train()
    examples = method._examples(fit.preparation, train, fit.collaborative.believe(train.batch), "cpu")
    method._lesson(fit.network, examples, torch.arange(256)).sum().backward()  # type: ignore[no-untyped-call]
    joint = {name: p for name, p in fit.network.named_parameters() if "joint" in name}
    assert len(joint) == 8
    assert all(p.grad is not None and bool(p.grad.any()) for p in joint.values())


def led_back(weight: float) -> float:
    """Of codes that training never saw: the share of their variance that leading back misses."""
    method = LRRecsys(TOY.model_copy(update={"joint": weight}), SCALE)
    planted = {"source": "facets", "signal": True}
    method.fit(planted_reasons(800, seed=1, **planted), planted_reasons(100, seed=2, **planted), RunContext(seed=1))  # type: ignore[arg-type]
    (network,) = method._fitted().network._stand_alone()
    joint = network.reasons.joint
    assert isinstance(joint, Joint)
    codes = torch.from_numpy(planted_reasons(100, seed=3, **planted).batch.consumers.facet_codes.table[:, 0, 0])  # type: ignore[arg-type]
    with torch.no_grad():
        moved = joint.move(codes)
        missed = (joint.back(moved) - codes).square().mean() / codes.var()
    assert not torch.allclose(moved, codes, atol=1e-2)
    return float(missed)


@pytest.mark.slow
def test_what_is_moved_can_be_led_back() -> None:
    kept, unguarded = led_back(1.0), led_back(1e-9)
    assert kept < 0.05
    assert unguarded > 3 * kept
