"""Words of a request are coded as those of a run are, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import current_thread
from threading import enumerate as threads

import numpy as np
import pandas as pd
import pytest

from features.batch import CODE_WIDTH, CONTENT_WIDTH
from features.errors import InputError, SettingError
from features.types import ModelIdentity
from models.backbones.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderNetwork
from models.base import Progress, silent
from models.explanations.codes import facet_codes
from models.explanations.own_words import OwnWords
from models.text import TextEncoder
from models.training import seeded

HERE = ModelIdentity("mini", "1")


@dataclass
class Letters:
    """Counts letters; `missing` is a host without the encoder's package. Knows who made it encode."""

    missing: bool = False
    threads: list[str] = field(default_factory=list)

    @property
    def identity(self) -> ModelIdentity:
        if self.missing:
            raise SettingError("The package is not installed.")
        return HERE

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        self.threads.append(current_thread().name)
        return np.array([[text.count(chr(97 + n % 26)) for n in range(CONTENT_WIDTH)] for text in texts], np.float32)


@pytest.fixture
def autoencoder() -> Autoencoder:
    with seeded(0):
        return Autoencoder(AutoencoderConfig(), AutoencoderNetwork(AutoencoderConfig()))


def test_a_text_has_the_code_that_it_had_as_a_stored_facet(autoencoder: Autoencoder) -> None:
    text = "You like long battery life."
    frame = pd.DataFrame(
        {
            "entity_kind": ["consumer"],
            "entity_id": ["c1"],
            "stance": ["for"],
            "rank": [0],
            "text": [text],
            "weight": [1.0],
            "evidence_time": [None],
        }
    )
    stored = facet_codes(frame, Letters().encode, autoencoder)[0]["codes"][0][:CODE_WIDTH]
    words = OwnWords(Letters(), HERE, autoencoder).coded([text, "Other."])
    np.testing.assert_allclose(words.codes[0], stored, atol=1e-5)  # its last bits depend on the texts beside it
    assert np.abs(words.codes[1] - stored).max() > 1e-2
    assert words.vectors.shape == (2, CONTENT_WIDTH)


def test_words_are_refused_where_their_codes_would_be_others(autoencoder: Autoencoder) -> None:
    with pytest.raises(InputError, match="The release was made with mini, revision 2"):
        OwnWords(Letters(), ModelIdentity("mini", "2"), autoencoder).coded(["secret words"])
    with pytest.raises(InputError, match="without an autoencoder"):
        OwnWords(Letters(), HERE, None).coded(["secret words"])
    with pytest.raises(InputError, match="not installed"):
        OwnWords(Letters(missing=True), HERE, autoencoder).coded(["secret words"])


def test_expected_words_find_the_weights_read_and_nobody_waits_for_it(autoencoder: Autoencoder) -> None:
    encoder = Letters()
    words = OwnWords(encoder, HERE, autoencoder)
    words.expect()
    words.expect()
    for thread in [it for it in threads() if it.name == "own-words"]:
        thread.join(10)
    assert encoder.threads == ["own-words"]


def test_words_that_cannot_be_coded_may_be_expected(autoencoder: Autoencoder) -> None:
    words = OwnWords(Letters(missing=True), HERE, autoencoder)
    words.expect()
    with pytest.raises(InputError, match="not installed"):
        words.coded(["secret words"])


@pytest.mark.slow
def test_the_real_encoder_codes_like_words_alike(autoencoder: Autoencoder) -> None:
    encoder = TextEncoder(threads=1)
    texts = ["You like long battery life.", "A battery that lasts.", "You dislike bright pink."]
    vectors = OwnWords(encoder, encoder.identity, autoencoder).coded(texts).vectors
    likeness = vectors @ vectors[0]
    assert likeness[1] > likeness[2]
