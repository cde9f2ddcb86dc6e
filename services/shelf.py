"""The products of a release, held in memory: which may be shown, which a rule means, which are alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH, PRODUCT_NUMERIC, ProductBlock
from services.reranking import Places, Similarity
from services.rules import Attributes, Mask, Part
from services.schemas import CONTENT, Boost, Pin


class Shelf:
    """P products in the order of their rows."""

    def __init__(self, products: ProductBlock, titles: Mapping[str, str]) -> None:
        """Sorts by popularity and reads the attributes. `titles`: by id."""
        self.products, self.titles = products, titles
        self.row = {str(product_id): row for row, product_id in enumerate(products.product_ids)}
        self.attributes = Attributes(products, titles)
        self._by_popularity = _by_popularity(products)
        self._content = _unit_content(products)

    def __len__(self) -> int:
        return len(self.products)

    def product_id(self, row: int) -> str:
        """The id at a row."""
        return str(self.products.product_ids[row])

    def ratings(self, row: int) -> tuple[int, float | None]:
        """How many there are of a product, and their mean."""
        count, mean = self.products.numeric[
            row, [PRODUCT_NUMERIC.index(it) for it in ("n_interactions", "mean_rating")]
        ]
        return int(np.nan_to_num(count)), None if np.isnan(mean) else float(mean)

    def candidates(self, chosen: Part | None, left_out: Collection[str]) -> NDArray[np.intp]:
        """Rows of the products that may be shown, most popular first. Raises InputError on an unknown attribute."""
        allowed = np.ones(len(self), bool) if chosen is None else self.attributes.choose(chosen)
        allowed[[self.row[product_id] for product_id in left_out if product_id in self.row]] = False
        return self._by_popularity[allowed[self._by_popularity]]

    def meant(self, choice: Boost | Pin) -> Mask:
        """(P,) the products that are named or described. Raises InputError on an unknown attribute."""
        if choice.rule is not None:
            return self.attributes.choose(choice.rule)
        mask = np.zeros(len(self), bool)
        mask[[self.row[product_id] for product_id in choice.product_ids or () if product_id in self.row]] = True
        return mask

    def similarity(self, by: str, rows: NDArray[np.intp]) -> Similarity:
        """How alike candidates at these rows are, by texts or by an attribute. Raises InputError."""
        if by == CONTENT:
            return lambda places, one: self._content[rows[places]] @ self._content[rows[one]]
        values = self.attributes.of(by)

        def overlap(places: Places, one: int) -> NDArray[np.float32]:
            return values.overlap(rows[places], int(rows[one]))

        return overlap


def _by_popularity(products: ProductBlock) -> NDArray[np.intp]:
    """Rows with the most interactions first; equal ones in order of id."""
    counts = np.nan_to_num(products.numeric[:, PRODUCT_NUMERIC.index("n_interactions")], nan=-1.0)
    return np.lexsort((products.product_ids.astype(str), -counts))


def _unit_content(products: ProductBlock) -> NDArray[np.float32]:
    """(P, 384) vectors of length 1; zeros where there is no text, which is like nothing."""
    nothing = np.zeros((1, CONTENT_WIDTH), np.float32)
    vectors = np.concatenate([np.nan_to_num(products.content.table).reshape(-1, CONTENT_WIDTH), nothing])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors[products.content.index]
