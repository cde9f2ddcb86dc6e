"""What ratings alone say of a pair: a Bayesian factorization behind the arrays that every method gets.

A training row must not be believed on the strength of its own rating, so training rows get the belief of a model that
did not see them (`Collaborative.fit` holds out one fold after the other), and everything else gets that of the model of
all rows. Unknown consumers are read from their history, unknown products from their attributes and content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.batch import CONTENT_WIDTH, ConsumerBlock, FeatureBatch, ProductBlock, TrainingSet
from features.errors import ReleaseError
from features.vocabulary import UNKNOWN, Vocabulary
from models.backbones.bases import Features, unit_rows
from models.backbones.factorization import Belief, Factorization, FactorizationConfig, Ratings, Vectors, joined
from models.backbones.preparation import numbers_of
from models.base import RunContext

CHUNK = 1024
"""Pairs whose vectors are in memory at once."""
GUESS_RANK = 64
"""Directions of the vectors of all samples that a guess looks along: what lies across them is the sampler's noise,
which cancels out. `benchmarks/serving.py` measures what of the exact order a guess finds."""
GUESS_FROM = 4_000
"""Products that the directions are found from."""
HELD_AT_ONCE = 20_000
"""Products whose vectors are made together, since those of all samples are large."""
_VOCABULARIES = ("consumers", "products", "attributes", "consumer_attributes")
_TENSORS, _NUMBERS = "collaborative.safetensors", "collaborative.json"


class CollaborativeConfig(FactorizationConfig):
    """The factorization, and how training rows are held out from it."""

    folds: int = 5
    """Models that each leave out one part of the training rows."""
    starts: tuple[float, ...] = (0.3, 0.1)
    """Values of `start` to hold a chain near, to choose from by the error on the first fold; beside them, to let it
    go, and each of these with all consumers alike."""


@dataclass(frozen=True, eq=False)
class HeldProducts:
    """Vectors of P products in each of S samples, as `Vectors`, laid out for taking a few products, or all at once."""

    mean: Tensor  # (P, S, K + 1)
    new: Tensor  # (P,) whether the product is none of the fit's
    covariance: Tensor  # (S, 1, K + 1, K + 1) of every new one
    directions: Tensor  # (S (K + 1), r) that a guess looks along
    along: Tensor  # (P, r) each product's vectors along them

    def rows(self, rows: Tensor) -> Vectors:
        """The chosen rows (N,)."""
        mean, new = self.mean.index_select(0, rows).transpose(0, 1), self.new[rows]
        return Vectors(mean, self.covariance, new) if new.any() else Vectors(mean, None)

    def guess(self, consumer: Vectors) -> Tensor:
        """(P,) about what is believed of one consumer with every product, up to a scale and a shift: one product."""
        weight = consumer.mean[:, 0].clone()  # (S, K + 1)
        weight[:, 0] = 1  # of the product's bias; the consumer's is the same for all
        return self.along @ (weight.flatten() @ self.directions)


@dataclass(frozen=True, eq=False)
class Collaborative:
    """A factorization that reads feature batches; ratings are stars."""

    consumers: Vocabulary
    products: Vocabulary
    attributes: Vocabulary
    consumer_attributes: Vocabulary
    content_mean: Tensor  # (384,)
    model: Factorization

    @classmethod
    def fit(cls, train: TrainingSet, config: CollaborativeConfig, run: RunContext) -> tuple[Collaborative, Belief]:
        """The model of all rows, and what the models of the other folds believe of each training row."""
        who, what = train.batch.consumers, train.batch.products
        unfitted = cls(
            Vocabulary.build(who.consumer_ids),
            Vocabulary.build(what.product_ids),
            _values(what.attributes),
            _values(who.attributes),
            torch.from_numpy(_content(what).mean(0)),
            Factorization(torch.zeros(0), {}),
        )
        stars = torch.from_numpy(train.rating.astype(np.float32))
        ratings = Ratings.of(numbers_of(unfitted.consumers, who.consumer_ids), unfitted._numbers_of(what), stars)
        consumers = _by_number(unfitted._told(who), ratings.consumer)
        products = _by_number(unfitted._described(what), ratings.product)
        chosen, held_out = _hold_out(ratings, consumers, products, config, run)
        model = Factorization.fit(ratings, consumers, products, chosen, run.progress)
        return unfitted._with(model), held_out

    def believe(self, batch: FeatureBatch) -> Belief:
        """What is believed of N pairs, in stars."""
        chunks = np.array_split(np.arange(len(batch)), max(1, -(-len(batch) // CHUNK)))
        return joined([self._believe(batch.take(rows)) for rows in chunks])

    def hold(self, block: ProductBlock) -> HeldProducts:
        """The vectors of P products, made ready for any number of consumers."""
        new, vectors = self._numbers_of(block) == UNKNOWN, self.model.tensors["product.vectors"]
        mean = vectors.new_empty(len(block), len(vectors), vectors.shape[-1])  # filled in parts: it may be gigabytes
        for start in range(0, len(block), HELD_AT_ONCE):
            part = slice(start, start + HELD_AT_ONCE)
            mean[part] = self._means(block.take(np.arange(len(block))[part]))
        directions = _leading(mean.flatten(1))
        covariance = self.model.unsureness("product")
        return HeldProducts(mean, new, covariance, directions, mean.flatten(1) @ directions)

    def save(self, folder: Path) -> None:
        """Writes collaborative.safetensors and collaborative.json into an existing folder."""
        from safetensors.torch import save_file

        tensors = {**self.model.tensors, "levels": self.model.levels, "content_mean": self.content_mean}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / _TENSORS)
        vocabularies = {name: getattr(self, name).ids for name in _VOCABULARIES}
        (folder / _NUMBERS).write_text(json.dumps(vocabularies, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Collaborative:
        """Reads what `save` wrote. Raises ReleaseError if it is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(folder / _TENSORS)
            content = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
            vocabularies = {name: Vocabulary(tuple(ids)) for name, ids in content.items()}
            content_mean, levels = tensors.pop("content_mean"), tensors.pop("levels")
            tensors["product.usual"]  # of which releases of older code know nothing
            return cls(**vocabularies, content_mean=content_mean, model=Factorization(levels, tensors))
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise ReleaseError(
                f"The factorization in {folder} cannot be read: {error}.", remedy="Train and save the model again."
            ) from error

    def _with(self, model: Factorization) -> Collaborative:
        kept = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "model"}
        return Collaborative(**kept, model=model)

    def _numbers_of(self, products: ProductBlock) -> Tensor:
        return numbers_of(self.products, products.product_ids)

    def _believe(self, batch: FeatureBatch) -> Belief:
        return self.model.believe(self.consumers_of(batch.consumers), self._products(batch.products))

    def consumers_of(self, block: ConsumerBlock) -> Vectors:
        """Vectors of N consumers: known ones by id, the others each once from history and attributes."""
        numbers = numbers_of(self.consumers, block.consumer_ids)
        vectors, new = self.model.consumers(numbers), numbers == UNKNOWN
        if not new.any():
            return vectors
        chosen = block.take(np.flatnonzero(new.numpy()))
        stars = chosen.history_ratings
        products = np.where(np.isnan(stars), UNKNOWN, self.products.encode(chosen.history_ids))
        told = self._told(chosen)
        # The same history gives the same vectors: a new consumer's are made once, however many products are scored.
        known = np.concatenate([products, np.nan_to_num(stars), *(group.numpy() for group in told)], axis=1)
        rows, first, place = np.unique(known, axis=0, return_index=True, return_inverse=True)
        history, ratings = torch.from_numpy(rows[:, : 2 * stars.shape[1]].astype(np.float32)).chunk(2, dim=1)
        groups = tuple(group[torch.from_numpy(first)] for group in told)
        made = self.model.new_consumers(groups, history.long(), ratings, history != UNKNOWN)
        return vectors.replaced(new, made.rows(torch.from_numpy(place.ravel())))

    def _means(self, block: ProductBlock) -> Tensor:
        """(N, S, K + 1) of products: known ones by id, the others from what they are."""
        numbers = self._numbers_of(block)
        mean, new = self.model.products(numbers).mean, numbers == UNKNOWN
        groups = self._described(block.take(np.flatnonzero(new.numpy())))
        mean[:, new] = self.model.new_products(len(groups[0]), groups).mean
        return mean.transpose(0, 1)

    def _products(self, block: ProductBlock) -> Vectors:
        """Vectors of N products: known ones by id, the others from what they are."""
        numbers = self._numbers_of(block)
        vectors, new = self.model.products(numbers), numbers == UNKNOWN
        if not new.any():
            return vectors
        groups = self._described(block.take(np.flatnonzero(new.numpy())))
        return vectors.replaced(new, self.model.new_products(len(groups[0]), groups))

    def _told(self, block: ConsumerBlock) -> tuple[Tensor, ...]:
        """Attributes (N, A) of consumers, rows of zeros where there is none; nothing if none was ever told."""
        if len(self.consumer_attributes) == 1:
            return ()
        return (_held(block.attributes, self.consumer_attributes),)

    def _described(self, block: ProductBlock) -> tuple[Tensor, ...]:
        """Attributes (N, A) and content (N, 384) of products; rows of zeros where there is none."""
        content = torch.from_numpy(_content(block)) - self.content_mean
        present = torch.from_numpy(block.content.index >= 0).unsqueeze(1)
        return _held(block.attributes, self.attributes), content * present


def _leading(vectors: Tensor) -> Tensor:
    """Orthonormal directions (W, r) in which vectors (P, W) lie most; of few numbers, all of them."""
    some = vectors[:: max(1, len(vectors) // GUESS_FROM)]
    directions: Tensor = torch.linalg.eigh(some.mT @ some).eigenvectors[:, -GUESS_RANK:]
    return directions.contiguous()


def _values(attributes: NDArray[np.object_]) -> Vocabulary:
    return Vocabulary.build(value for listed in set(attributes) for value in listed)


def _held(attributes: NDArray[np.object_], vocabulary: Vocabulary) -> Tensor:
    """Which attributes each of N holds, as rows of length 1: (N, A)."""
    values = [value for listed in attributes for value in listed]
    row = np.repeat(np.arange(len(attributes)), [len(listed) for listed in attributes])
    held = np.zeros((len(attributes), len(vocabulary)), np.float32)
    held[row, vocabulary.encode(np.array(values, object))] = 1
    held[:, UNKNOWN] = 0
    return unit_rows(torch.from_numpy(held))


def _by_number(groups: tuple[Tensor, ...], numbers: Tensor) -> Features:
    """What is known of consumers or products by their number, from the rows (N,) they are in; number 0 is nothing."""
    rows = torch.from_numpy(np.unique(numbers.numpy(), return_index=True)[1])
    return Features(len(rows) + 1, tuple(torch.cat([torch.zeros(1, group.shape[1]), group[rows]]) for group in groups))


def _hold_out(
    ratings: Ratings, consumers: Features, products: Features, config: CollaborativeConfig, run: RunContext
) -> tuple[CollaborativeConfig, Belief]:
    """The config that predicts the first fold best, and what the models of other folds believe.

    Candidates differ in the start of their chains, and in whether consumers are told apart by how exactly they rate:
    where most have given a handful of ratings, and nearly all of these the highest, exactness is read into chance.
    """
    fold = (torch.arange(len(ratings)) % config.folds)[torch.randperm(len(ratings))]

    def believed(number: int, settings: CollaborativeConfig) -> Belief:
        rest = ratings.take(torch.nonzero(fold != number).squeeze(1))
        model = Factorization.fit(rest, consumers, products, settings, run.progress)
        held = ratings.take(torch.nonzero(fold == number).squeeze(1))
        chunks = zip(torch.split(held.consumer, CHUNK), torch.split(held.product, CHUNK), strict=True)
        return joined([model.believe(model.consumers(u), model.products(i)) for u, i in chunks])

    held = [config.model_copy(update={"start": start, "stretch": False}) for start in config.starts]
    spreads = [config, *held] if config.stretch else held
    told_apart = config.alike and len(ratings.levels) > 2  # two levels do not say how exact anyone is
    alike = [each.model_copy(update={"alike": 0.0}) for each in spreads] if told_apart else []
    candidates = [*spreads, *alike]
    tried = [believed(0, candidate) for candidate in candidates]
    given = ratings.levels[ratings.level[fold == 0]]
    errors = [float((belief.mean - given).square().mean()) for belief in tried]
    best = errors.index(min(errors))
    parts = [tried[best], *(believed(number, candidates[best]) for number in range(1, config.folds))]
    order = torch.argsort(fold, stable=True).argsort()
    return candidates[best], joined(parts).rows(order)


def _content(block: ProductBlock) -> NDArray[np.float32]:
    """(N, 384), zeros where there is none."""
    nothing = np.zeros((1, CONTENT_WIDTH), np.float32)
    return np.concatenate([np.nan_to_num(block.content.table).reshape(-1, CONTENT_WIDTH), nothing])[block.content.index]
