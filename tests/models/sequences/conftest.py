"""Histories whose order is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.backbones.histories import Histories


@pytest.fixture(scope="session")
def ring() -> Histories:
    """Everyone walks round 12 products in order, from another start: the next one is always the last plus 1."""
    consumer, step = (axis.ravel() for axis in np.meshgrid(np.arange(36), np.arange(4), indexing="ij"))
    return Histories.of(consumer, (consumer + step) % 12, step.astype(float), 36, 12)
