"""Facets and explanations become feature rows; nothing becomes empty frames."""

import numpy as np
import pandas as pd

from features.types import Facet
from models.backbones.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderNetwork
from models.explanations.codes import facet_codes, topics

CODER = Autoencoder(AutoencoderConfig(), AutoencoderNetwork(AutoencoderConfig()))
COLUMNS = list(Facet.__dataclass_fields__)


def encode(texts):
    return np.array([np.full(384, len(text), np.float32) for text in texts], np.float32).reshape(-1, 384)


def test_a_facet_becomes_a_row_with_absent_slots_of_weight_zero():
    time = pd.Timestamp("2024-01-02", tz="UTC")
    row = ["f", "consumer", "c1", "against", 0, "dull", 0.5, ("x",), time, "k", "h", "m"]
    consumers, products = facet_codes(pd.DataFrame([row], columns=COLUMNS), encode, CODER)
    assert products.empty
    assert consumers["event_timestamp"].iloc[0] == time
    assert consumers["weights"].iloc[0].tolist() == [0, 0, 0, 0, 0.5, 0, 0, 0]
    assert consumers["codes"].iloc[0].shape == (2 * 4 * 64,)


def test_no_facets_give_empty_frames():
    consumers, products = facet_codes(pd.DataFrame(columns=COLUMNS), encode, CODER)
    assert consumers.empty
    assert str(products["event_timestamp"].dtype) == "datetime64[us, UTC]"


def test_a_text_is_about_the_first_thing_that_its_facts_name():
    facets = pd.DataFrame({"text": ["bass!", "good", "many"], "fact_ids": [("a", "b"), ("c",), ("d",)]})
    facts = pd.DataFrame({"fact_id": ["a", "b", "c"], "aspect": ["mean", "term=bass", "mean"]})
    assert topics(facets, facts) == {"bass!": "term=bass"}
