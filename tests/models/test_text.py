"""The text encoder: unit vectors that follow meaning, and nothing encoded twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH
from features.lake import Lake
from features.types import ModelIdentity, content_hash
from models.base import Progress, silent
from models.text import TextEncoder, encode_unique, forget_vectors


class CountingEncoder:
    """Stands in for the real one where only the remembering is tested."""

    identity = ModelIdentity("counting", "1")

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        self.seen += texts
        return np.stack([np.full(CONTENT_WIDTH, len(text), np.float32) for text in texts])


def test_only_new_texts_are_encoded_and_order_is_kept(tmp_path: Path) -> None:
    lake, encoder = Lake(tmp_path), CountingEncoder()
    encode_unique(lake, encoder, ["aa", "b", "aa"])
    vectors = encode_unique(lake, encoder, ["b", "cccc", "aa"])
    assert encoder.seen == ["aa", "b", "cccc"]
    assert vectors[:, 0].tolist() == [1, 4, 2]


def test_texts_of_another_process_are_kept_beside_ones_own(tmp_path: Path) -> None:
    class Overtaken(CountingEncoder):
        """Somebody else encodes a text while this one is busy."""

        def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
            encode_unique(Lake(tmp_path), CountingEncoder(), ["theirs"])
            return super().encode(texts, progress)

    encode_unique(Lake(tmp_path), Overtaken(), ["ours"])
    again = CountingEncoder()
    encode_unique(Lake(tmp_path), again, ["ours", "theirs"])
    assert again.seen == []


def test_vectors_of_a_home_with_one_table_are_taken_up(tmp_path: Path) -> None:
    made_from = content_hash("counting", "1")
    table = {"text_hash": [content_hash(made_from, "aa")], "vector": [np.full(CONTENT_WIDTH, 7, np.float32)]}
    Lake(tmp_path).write("text_vectors", pd.DataFrame(table), made_from)
    encoder = CountingEncoder()
    assert encode_unique(Lake(tmp_path), encoder, ["aa", "b"])[:, 0].tolist() == [7, 1]
    assert encoder.seen == ["b"]


def test_a_text_that_is_no_longer_used_leaves_no_vector(tmp_path: Path) -> None:
    lake, encoder = Lake(tmp_path), CountingEncoder()
    encode_unique(lake, encoder, ["aa", "b"])
    forget_vectors(lake, encoder, ["aa"])
    encode_unique(lake, encoder, ["aa", "b"])
    assert encoder.seen == ["aa", "b", "b"]


def test_no_text_gives_no_vector(tmp_path: Path) -> None:
    assert encode_unique(Lake(tmp_path), CountingEncoder(), []).shape == (0, CONTENT_WIDTH)


@pytest.mark.slow
def test_like_sentences_are_near_and_batches_change_nothing() -> None:
    encoder = TextEncoder()
    texts = ["You enjoy quiet piano music.", "You like soft piano pieces.", "The battery is empty after an hour."]
    vectors = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert np.allclose(encoder.encode(texts[2:])[0], vectors[2], atol=1e-5)
