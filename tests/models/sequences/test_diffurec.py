"""DiffuRec: schedule, diffusion and the way back equal their formulas, and an answer depends on its history alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.backbones.sequences.diffurec import DiffuRec, truncated_linear
from models.backbones.sequences.encoders import EncoderConfig
from models.training import seeded

CONFIG = EncoderConfig(embedding_size=4, n_layers=1, n_heads=2, length=3, dropout=0.5)
Array = np.ndarray


def made(seed: int = 0, uncertainty: float = 0.7) -> DiffuRec:
    """Three steps, an uncertainty that counts, and norms and biases that are not neutral."""
    with seeded(seed):
        encoder = DiffuRec(CONFIG, n_steps=3, uncertainty=uncertainty).eval()
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.dim() == 1:
                    parameter += 0.3 * torch.randn_like(parameter)
    return encoder


def rows(n: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(n, 3, 4, generator=torch.Generator().manual_seed(seed))


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().astype(float)


def norm(x: Array, layer: torch.nn.LayerNorm) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * array(layer.weight) + array(layer.bias)


def embedded_by_hand(encoder: DiffuRec, s: int) -> Array:
    """d_s: waves of the step, 1000 / N a step, then the network of the step."""
    t = 1000 / 3 * s
    waves = np.array([np.cos(t), np.cos(t / 100), np.sin(t), np.sin(t / 100)])
    inner = array(encoder.step[0].weight) @ waves + array(encoder.step[0].bias)
    return array(encoder.step[2].weight) @ (inner / (1 + np.exp(-inner))) + array(encoder.step[2].bias)


def approximated_by_hand(encoder: DiffuRec, vectors: Array, guess: Array, s: int, weight: Array | float) -> Array:
    """(3, 4): the transformer, which has tests of its own, on z_i = e_i + lambda_i (x_s + d_s), then the last norm."""
    z = norm(vectors, encoder.first_norm) + weight * (guess + embedded_by_hand(encoder, s))
    with torch.no_grad():
        mixed = encoder.transformer(torch.from_numpy(z[None]).float(), torch.ones(1, 3, 3, dtype=torch.bool))
    return norm(array(mixed[0]), encoder.norm)


BETAS = np.array([0.01 + 0.1 / 3, (0.02 + 0.1 / 3 + 1 / 3) / 2, 0.01 + 1 / 3])
"""Three steps: a line up to 0.02 * 1000 / 3 + 0.01 would end above 1, so it ends at 0.001 * 1000 / 3 + 0.01."""
KEPT = np.array([1 - BETAS[0], (1 - BETAS[0]) * (1 - BETAS[1]), (1 - BETAS[0]) * (1 - BETAS[1]) * (1 - BETAS[2])])


def test_the_schedule_is_the_published_one() -> None:
    assert truncated_linear(32)[[0, -1]] == pytest.approx([0.013125, 0.635])
    assert np.diff(truncated_linear(32)) == pytest.approx((0.635 - 0.013125) / 31)
    assert truncated_linear(3) == pytest.approx(BETAS)
    assert array(made().kept) == pytest.approx(KEPT)


def test_what_came_is_diffused_as_far_as_its_step() -> None:
    x, noise, step = torch.tensor([[1.0, 2, 3, 4]] * 2), torch.ones(2, 4), torch.tensor([0, 2])
    found = array(made().diffused(x, step, noise))
    for row, s in enumerate((0, 2)):
        assert found[row] == pytest.approx(np.sqrt(KEPT[s]) * array(x[row]) + np.sqrt(1 - KEPT[s]))


def test_an_encoder_equals_its_equations_when_it_learns() -> None:
    """What is drawn is drawn again in the same order: step, noise, lambda."""
    encoder, vectors, came = made(), rows(2), rows(2, 6)[:, 0]
    with seeded(9), torch.no_grad():
        found = encoder.taught(vectors, torch.ones(2, 3, dtype=torch.int64), came)
    with seeded(9):
        step, noise, weight = torch.randint(3, (2,)), torch.randn(2, 4), 0.7 * (1 + torch.randn(2, 3, 4))
    for row in range(2):
        s = int(step[row])
        guess = np.sqrt(KEPT[s]) * norm(array(came[row]), encoder.first_norm) + np.sqrt(1 - KEPT[s]) * array(noise[row])
        by_hand = approximated_by_hand(encoder, array(vectors[row]), guess, s, array(weight[row]))
        assert array(found[row]) == pytest.approx(by_hand, abs=1e-5)


def test_an_encoder_equals_its_equations_when_it_is_asked() -> None:
    """From noise through x_1 and x_0 of the posterior of Ho et al. (2020), equations 6 and 7, with variance beta."""
    encoder, vectors = made(), rows(1)
    with torch.no_grad():
        found = array(encoder(vectors, torch.ones(1, 3, dtype=torch.int64))[0, -1])
    noise, guess = array(encoder.noise), array(encoder.noise)[0]
    for s in (2, 1, 0):
        said, before = approximated_by_hand(encoder, array(vectors[0]), guess, s, 0.7)[-1], KEPT[s - 1] if s else 1.0
        mean = np.sqrt(before) * BETAS[s] / (1 - KEPT[s]) * said
        mean = mean + np.sqrt(1 - BETAS[s]) * (1 - before) / (1 - KEPT[s]) * guess
        guess = mean + (np.sqrt(BETAS[s]) * noise[s] if s else 0)
    assert found == pytest.approx(guess, abs=1e-5)


def test_an_answer_is_the_same_again_and_in_any_company() -> None:
    encoder, vectors = made(), rows(4)
    history = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]])
    with torch.no_grad():
        together, again = encoder(vectors, history), encoder(vectors, history)
        alone = torch.cat([encoder(vectors[row : row + 1], history[row : row + 1]) for row in range(4)])
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone)


def test_it_looks_at_what_came_only_to_learn() -> None:
    encoder, history = made(), torch.ones(1, 3, dtype=torch.int64)
    with torch.no_grad():
        with seeded(1):
            one = encoder.taught(rows(1), history, torch.tensor([[1.0, 0, 0, 0]]))
        with seeded(1):
            other = encoder.taught(rows(1), history, torch.tensor([[0, 0, 0, 1.0]]))
    assert (one - other).abs().max() > 1e-3


def test_every_place_is_seen_from_the_last_one_and_from_the_first() -> None:
    encoder, history, vectors = made(), torch.ones(1, 3, dtype=torch.int64), rows(1)
    changed = vectors.clone()
    changed[0, -1, 0] += 1.0
    with torch.no_grad():
        assert (encoder(vectors, history) - encoder(changed, history))[0, 0].abs().max() > 1e-3


def test_the_noise_is_kept_with_the_weights(tmp_path: Path) -> None:
    """Another one, made with another seed, answers alike once it has read them."""
    encoder, other, history = made(), made(seed=1), torch.ones(1, 3, dtype=torch.int64)
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        before = other(rows(1), history)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert not torch.equal(before, other(rows(1), history))
        assert torch.equal(encoder(rows(1), history), other(rows(1), history))
