"""Fusion of text and looks, each of which may be missing."""

from __future__ import annotations

import torch

from features.batch import CONTENT_WIDTH
from models.explain_rec.vision import Fusion

TEXT, VISUAL = torch.randn(6, CONTENT_WIDTH), torch.randn(6, 3)
YES, NO = torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)


def fusion(dropout: float = 0.0, width: int = 3) -> Fusion:
    torch.manual_seed(0)
    return Fusion(8, width, dropout)


def test_item_8_what_is_missing_is_one_learned_vector() -> None:
    """Whatever stands in the place of missing looks or texts, it is not read."""
    module = fusion().eval()
    assert torch.equal(module(TEXT, YES, VISUAL, NO), module(TEXT, YES, torch.zeros(6, 3), NO))
    assert torch.equal(module(TEXT, NO, VISUAL, YES), module(TEXT * 0, NO, VISUAL, YES))
    assert not torch.allclose(module(TEXT, YES, VISUAL, YES), module(TEXT, YES, VISUAL, NO))


def test_item_8_modality_dropout_takes_looks_away_in_training_alone() -> None:
    module = fusion(dropout=1.0)
    assert torch.equal(module.train()(TEXT, YES, VISUAL, YES), module(TEXT, YES, VISUAL, NO))
    assert torch.equal(module.eval()(TEXT, YES, VISUAL, YES), fusion().eval()(TEXT, YES, VISUAL, YES))


def test_item_8_the_missing_vector_learns() -> None:
    module = fusion()
    module(TEXT, YES, VISUAL, NO).sum().backward()
    assert module.no_visual.grad is not None
    assert module.no_visual.grad.abs().sum() > 0


def test_the_gate_mixes_both() -> None:
    module = fusion().eval()
    told, seen = module.text(TEXT), module.visual(VISUAL)
    fused = module(TEXT, YES, VISUAL, YES)
    low, high = torch.minimum(told, seen), torch.maximum(told, seen)
    assert ((fused >= low - 1e-5) & (fused <= high + 1e-5)).all()


def test_without_vision_text_alone_is_read() -> None:
    module = fusion(width=0).eval()
    assert torch.equal(module(TEXT, YES, VISUAL, YES), module.text(TEXT))
    assert float(module.alignment(TEXT, VISUAL, YES)) == 0


def test_alignment_falls_where_looks_find_their_own_text() -> None:
    module = fusion()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    before = float(module.alignment(TEXT, VISUAL, YES).detach())
    for _ in range(100):
        optimizer.zero_grad()
        module.alignment(TEXT, VISUAL, YES).backward()
        optimizer.step()
    assert float(module.alignment(TEXT, VISUAL, YES).detach()) < before / 2
    assert float(module.alignment(TEXT, VISUAL, NO)) == 0
