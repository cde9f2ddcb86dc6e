"""The speed benchmark trains what it says it trains."""

from __future__ import annotations

from benchmarks.training_speed import GROUND, epoch_seconds, peer_speed, synthetic, without_texts
from models.methods.lr_recsys import LRRecsysConfig

CONFIG = LRRecsysConfig(embedding_size=8, hidden=(8,), epochs=2, patience=2, collaborative=GROUND, batch_size=256)


def test_every_synthetic_row_has_a_facet_of_both_sides_unless_texts_are_taken_away() -> None:
    rows = synthetic(200)
    assert (rows.batch.consumers.facet_codes.index >= 0).all()
    assert (rows.batch.products.facet_weights.table[:, :, 0] == 1).all()
    assert (without_texts(rows).batch.products.facet_codes.index == -1).all()


def test_epochs_of_both_are_timed() -> None:
    rows = synthetic(600)
    assert epoch_seconds(CONFIG, rows) > 0
    assert peer_speed(CONFIG, rows) > 0
