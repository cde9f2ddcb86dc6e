"""A method that reads texts while it is fitted gets those that the stages before it published."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.records import to_frame
from features.settings import HostSettings
from features.types import EntityKind, Explanation, Facet, Stance
from flows.train import text_ground
from flows.workspace import Workspace


@pytest.fixture
def workspace(own_home: Path) -> Workspace:
    """A home whose lake holds one product, one consumer's facet and no text of a pair."""
    workspace = Workspace.of(HostSettings.from_environment())
    when = datetime(2020, 1, 2, tzinfo=UTC)
    facet = Facet(
        "f", EntityKind.CONSUMER, "c", Stance.FOR, 0, "They like tea.", 1.0, ("x",), when, "key", "hash", "model"
    )
    products = pd.DataFrame({"product_id": ["p"], "title": ["Tea"], "description": ["Mild."]})
    workspace.lake.write("products", products, "hash")
    workspace.lake.write("facets", to_frame([facet], Facet), "hash")
    workspace.lake.write("pair_texts", to_frame([], Explanation), "hash")
    return workspace


def test_texts_come_from_the_lake_with_the_time_of_their_evidence(workspace: Workspace) -> None:
    texts = text_ground(workspace).texts
    assert texts.titles == {"p": "Tea"}
    assert texts.describe("p", np.datetime64("2020-01-01")) == "Mild."
    assert texts.profile("c", np.datetime64("2020-01-02")) == ""
    assert texts.profile("c", np.datetime64("2020-01-03")) == "They like tea."


def test_a_half_done_tuning_is_kept_in_the_home(workspace: Workspace) -> None:
    state = text_ground(workspace).state
    assert state is not None
    assert state.is_relative_to(workspace.settings.home)
