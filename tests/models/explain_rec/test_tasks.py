"""Tasks that are learned together."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.explain_rec.tasks import attribute_preferences, gradient_cosines
from models.testing import plain_batch, training_set


def test_preferences_for_attributes_leave_the_row_itself_out() -> None:
    who = np.array(["a", "a", "a", "b"], object)
    rows = training_set(plain_batch(who, np.array(["p1", "p2", "p3", "p1"], object)), np.array([1, 1, 0, 1], bool))
    labels = attribute_preferences(rows, torch.tensor([[1, 0], [1, 2], [2, 0], [1, 0]])).numpy()
    # a's mean is 11/3. Row 0: row 1 has attribute 1 too, and is above; row 1: row 0 above, row 2 below; b has one row.
    np.testing.assert_array_equal(labels, [[1, np.nan], [1, 0], [1, np.nan], [np.nan, np.nan]])


def test_item_10_cosines_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    losses = {
        "east": weight[0],
        "west": -2 * weight[0],
        "north": 3 * weight[1],
        "elsewhere": torch.zeros((), requires_grad=True) * 1,
    }
    assert gradient_cosines(losses, [weight]) == {"east-west": -1.0, "east-north": 0.0, "west-north": 0.0}
