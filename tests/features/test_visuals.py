"""What products look like: found by id, and absent for those that have no looks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.visuals import VisualTable

TABLE = VisualTable(("b", "a", "c"), np.array([[1, 2], [3, 4], [5, 6]], np.float32))


def test_vectors_are_found_by_id() -> None:
    values, present = TABLE.of_products(np.array(["a", "x", "b", ""], object))
    np.testing.assert_array_equal(values, [[3, 4], [0, 0], [1, 2], [0, 0]])
    np.testing.assert_array_equal(present, [True, False, True, False])


def test_a_frame_becomes_a_table_and_none_where_it_is_empty() -> None:
    frame = pd.DataFrame({"product_id": ["b", "a", "c"], "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]})
    assert VisualTable.of(frame).content_hash == TABLE.content_hash
    assert VisualTable.of(frame.iloc[:0]) is None


def test_faulty_vectors_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[1, 2\] values"):
        VisualTable.of(pd.DataFrame({"product_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}))
    with pytest.raises(InputError, match="not finite"):
        VisualTable(("a",), np.array([[np.nan]], np.float32))
    with pytest.raises(InputError, match="2 products"):
        VisualTable(("a", "b"), np.zeros((1, 3), np.float32))


def test_shuffled_looks_are_the_same_ones_elsewhere() -> None:
    shuffled = TABLE.shuffled(2)
    assert sorted(map(tuple, shuffled.values.tolist())) == sorted(map(tuple, TABLE.values.tolist()))
    assert shuffled.product_ids == TABLE.product_ids
    assert (shuffled.values != TABLE.values).any()
    assert shuffled.content_hash != TABLE.content_hash
