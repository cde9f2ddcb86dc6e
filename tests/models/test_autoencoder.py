"""The explanation autoencoder: it learns to reconstruct, tells texts apart by their codes, and survives saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.errors import ReleaseError, TrainingError
from models.backbones.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    AutoencoderReport,
    train_autoencoder,
)
from models.base import RunContext

CONFIG = AutoencoderConfig(epochs=20)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Unit vectors near 30 themes, as 20 explanations of each of 30 products would be."""
    rng = np.random.default_rng(0)
    themes = rng.normal(size=(30, CONFIG.text_width))
    made = np.repeat(themes, 20, axis=0) + 0.3 * rng.normal(size=(600, CONFIG.text_width))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(vectors: np.ndarray) -> tuple[Autoencoder, AutoencoderReport]:
    return train_autoencoder(vectors, CONFIG, RunContext())


def test_training_lowers_held_out_reconstruction_by_a_third(trained: tuple[Autoencoder, AutoencoderReport]) -> None:
    assert trained[1].reduction >= 0.3


def test_the_ten_nearest_codes_are_of_the_same_product_where_chance_is_one_in_thirty(
    vectors: np.ndarray, trained: tuple[Autoencoder, AutoencoderReport]
) -> None:
    codes = trained[0].codes(vectors)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    likeness = codes @ codes.T - 2 * np.eye(len(codes))
    product = np.arange(len(codes)) // 20
    nearest = np.argsort(-likeness, axis=1)[:, :10]
    assert (product[nearest] == product[:, None]).mean() > 0.8


def test_texts_of_one_topic_are_drawn_together() -> None:
    """How a thing is said weighs more in the texts' vectors than what is said, and less in the codes."""
    rng = np.random.default_rng(1)
    topic, style = rng.integers(0, 10, 800), rng.integers(0, 6, 800)
    said, how = rng.normal(size=(10, CONFIG.text_width)), 2 * rng.normal(size=(6, CONFIG.text_width))
    vectors = (said[topic] + how[style]).astype(np.float32) / 40

    def apart(about: list[str] | None) -> float:
        codes = train_autoencoder(vectors, CONFIG, RunContext(), about)[0].codes(vectors)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
        likeness, same = codes @ codes.T, np.equal.outer(topic, topic)
        return float(likeness[same].mean() - likeness[~same].mean())

    assert apart([str(number) for number in topic]) > 2 * apart(None)


def test_codes_are_as_near_to_each_other_as_their_texts(
    vectors: np.ndarray, trained: tuple[Autoencoder, AutoencoderReport]
) -> None:
    def cosines(rows: np.ndarray) -> np.ndarray:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows @ rows.T)[np.triu_indices(len(rows), 1)]

    assert np.corrcoef(cosines(trained[0].codes(vectors)), cosines(vectors - vectors.mean(0)))[0, 1] > 0.8


def test_the_same_seed_gives_the_same_codes_and_saving_changes_none(vectors: np.ndarray, tmp_path: Path) -> None:
    short = AutoencoderConfig(epochs=2)
    first, _ = train_autoencoder(vectors, short, RunContext(seed=3))
    second, _ = train_autoencoder(vectors, short, RunContext(seed=3))
    assert first.content_hash == second.content_hash
    first.save(tmp_path)
    loaded = Autoencoder.load(tmp_path)
    assert np.array_equal(loaded.codes(vectors[:5]), first.codes(vectors[:5]))
    assert loaded.content_hash == first.content_hash


def test_damaged_weights_are_refused(vectors: np.ndarray, tmp_path: Path) -> None:
    autoencoder, _ = train_autoencoder(vectors, AutoencoderConfig(epochs=1), RunContext())
    autoencoder.save(tmp_path)
    file = tmp_path / "autoencoder.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ReleaseError, match="autoencoder"):
        Autoencoder.load(tmp_path)


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(TrainingError, match="width"):
        train_autoencoder(np.zeros((5, 3), np.float32), CONFIG, RunContext())
