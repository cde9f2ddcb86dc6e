"""Members are what networks trained one by one would be, each with its own best epoch."""

import pytest
import torch
from torch import nn

from features.errors import TrainingError
from models.base import RunContext
from models.members import Members
from models.training import LoopSettings, _clip, fit_epochs, fit_module, seeded

ROWS, WIDTH = 64, 3


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 4), nn.Tanh(), nn.Linear(4, 1))


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, WIDTH, generator=generator)
    return x, x.sum(1)


def trained(network: nn.Module, epochs: int = 5) -> nn.Module:
    x, y = problem()
    settings = LoopSettings(epochs, epochs, batch_size=16, learning_rate=0.05)
    fit_epochs(network, ROWS, lambda rows: _error(network, x[rows], y[rows]), settings, RunContext())
    return network


def _error(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (network(x).squeeze(-1) - y).square().mean(-1)


def test_each_member_is_trained_as_it_would_be_alone():
    with seeded(1):
        members = Members(make, 3)
    with seeded(1):
        alone = [make() for _ in range(3)]
    x, _ = problem()
    together = trained(members)(x)
    for member, network in enumerate(alone):
        torch.testing.assert_close(together[member], trained(network)(x), atol=1e-5, rtol=0)


def test_a_member_keeps_its_own_best_epoch():
    members = Members(lambda: nn.Linear(1, 1, bias=False), 2)
    losses = iter([[3.0, 1.0], [2.0, 2.0], [4.0, 3.0]])
    weights = []

    def valid_loss() -> torch.Tensor:
        weights.append(members.get_parameter("weight").detach().clone())
        return torch.tensor(next(losses))

    x = torch.ones(8, 1)
    report = fit_module(
        members,
        8,
        lambda rows: members(x[rows]).square().mean((1, 2)),
        valid_loss,
        LoopSettings(3, 3, 4, 0.1),
        RunContext(),
    )
    kept = members.get_parameter("weight")
    torch.testing.assert_close(kept[0], weights[1][0])
    torch.testing.assert_close(kept[1], weights[0][1])
    assert report.valid_loss == pytest.approx((2.0, 2.0, 3.5))


def test_a_member_with_large_gradients_shortens_no_other():
    gradients = [torch.tensor([[3.0, 4.0], [0.3, 0.4]]), torch.tensor([0.0, 0.0])]
    _clip(gradients, 1.0, member_dims=1)
    torch.testing.assert_close(gradients[0], torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


def test_a_single_network_is_clipped_as_a_whole():
    gradients = [torch.tensor([3.0]), torch.tensor(4.0)]
    _clip(gradients, 1.0, member_dims=0)
    torch.testing.assert_close(gradients[1], torch.tensor(0.8))


def test_one_member_that_is_not_finite_stops_all():
    members = Members(make, 2)

    def train_loss(rows: torch.Tensor) -> torch.Tensor:
        return members(torch.ones(len(rows), WIDTH)).mean((1, 2)) * torch.tensor([1.0, float("nan")])

    with pytest.raises(TrainingError, match="nan"):
        fit_epochs(members, 8, train_loss, LoopSettings(1, 1, 4, 0.1), RunContext())


def test_members_differ_in_what_dropout_leaves_out():
    def network() -> nn.Module:
        scaled = nn.Linear(1, 1, bias=False)
        nn.init.ones_(scaled.weight)
        return nn.Sequential(nn.Dropout(0.5), scaled)

    members, rows = Members(network, 2), torch.ones(100, 1)
    assert not torch.equal(*members.train()(rows))
    assert torch.equal(*members.eval()(rows))


def test_members_answer_alone_as_they_do_in_training_and_after_each_change():
    members, (x, _) = Members(make, 3), problem()
    for weight in (0.5, 2.0):
        members.train()
        with torch.no_grad():
            members.get_parameter("0/weight").mul_(weight)
        with torch.enable_grad():
            expected = members(x).detach()
        members.eval()
        with torch.inference_mode():
            assert torch.equal(members(x), expected)
    members.load_state_dict({name: value * 3 for name, value in members.state_dict().items()})
    with torch.no_grad():
        loaded = members(x)
    with torch.enable_grad():
        assert torch.equal(loaded, members(x))
    members.double()
    with torch.no_grad():
        assert members(x.double()).dtype == torch.float64
