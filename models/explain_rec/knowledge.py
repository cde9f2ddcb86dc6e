"""The knowledge base: prototypes of consumers, which speak for those of whom nothing was ever seen.

Source: ExplainRec (Ma et al., arXiv 2511.14770), universal preference knowledge base: prototypes with a key, a pattern
in words and a support count, built by clustering consumers' profiles, looked up by cosine. A profile is what a consumer
is told to be (attributes that are not protected) beside their taste (mean text of what they rated above their own mean,
less that of the rest); either half may be missing. A prototype knows how its members rate attributes of products,
beyond what product and consumer explain, and from which domains they come: rows of several domains make one base,
whose prototypes meet in texts and in what is told of consumers, since domains share no product and need share no
attribute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from features.batch import CONTENT_WIDTH, ConsumerBlock, Floats, Ids, ProductBlock, TrainingSet
from features.vocabulary import UNKNOWN, Vocabulary
from models.explain_rec.clusters import clusters, unit

N_PRIOR = 4
"""Numbers that a lookup gives of a pair (`KnowledgeBase.priors`)."""
SHARPNESS = 10.0
"""Of the weights of prototypes that were found, by their cosine."""
NAMED = 3
"""Attributes that a pattern names on each side."""


class KnowledgeConfig(BaseModel):
    """Size of the knowledge base, and what may never enter it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prototypes: int = 32
    """n_k: at most so many."""
    top: int = 5
    """Prototypes that a lookup finds."""
    shrink: float = 50.0
    """Ratings of an attribute that count as much as the belief that members do not differ."""
    min_support: int = 5
    """Members below which a prototype is left out: few people must not be recognised in it."""
    domain_mark: str = ""
    """What ends the name of a domain at the beginning of a product's id, as the slash of `films/1193`; empty where all
    rows are of one domain without a name."""
    left_out: tuple[str, ...] = ()
    """Domains that no prototype may rest on, as one that strangers will be asked about."""

    @model_validator(mode="after")
    def _leaves_out_what_it_can_tell(self) -> Self:
        """A domain that is not recognised would stay in without a word."""
        if self.left_out and not self.domain_mark:
            raise ValueError(f"left_out names {self.left_out[0]!r}, and no domain_mark says how ids name their domain")
        if wrong := [name for name in self.left_out if not name or self.domain_mark in name]:
            raise ValueError(
                f"left_out names {wrong[0]!r}; a domain is what stands before the first {self.domain_mark!r} of an id"
            )
        return self

    def domains(self, product_ids: Ids) -> Ids:
        """(N,) the domain of each product, empty where its id names none."""
        if not self.domain_mark:
            return np.full(len(product_ids), "", object)
        parts = (name.partition(self.domain_mark) for name in product_ids)
        return np.array([before if mark else "" for before, mark, _ in parts], object)


class Found(NamedTuple):
    """What a lookup finds for N consumers; no column where the base is empty."""

    prototypes: NDArray[np.intp]  # (N, top)
    weights: Floats  # (N, top), summing to 1


@dataclass(frozen=True, eq=False)
class KnowledgeBase:
    """P prototypes over A values of product attributes and T values of consumer attributes."""

    told: Vocabulary
    attributes: Vocabulary
    keys: Floats  # (P, 384 + T): taste, then what is told; unit halves, scaled together
    preferences: Floats  # (P, A + 1): how members rate an attribute beyond what is expected, in stars; column 0 unused
    support: NDArray[np.int64]  # (P,) members
    patterns: tuple[str, ...]
    top: int
    domains: tuple[tuple[str, ...], ...] = ()
    """Of each prototype, the named domains that its members' rows are of."""

    @classmethod
    def empty(cls) -> KnowledgeBase:
        """One that knows nothing: every lookup finds nothing, and scores are those without a base."""
        nothing = Vocabulary(())
        keys, preferences = np.zeros((0, CONTENT_WIDTH), np.float32), np.zeros((0, 1), np.float32)
        return cls(nothing, nothing, keys, preferences, np.zeros(0, np.int64), (), 1)

    @classmethod
    def build(cls, train: TrainingSet, config: KnowledgeConfig, seed: int) -> KnowledgeBase:
        """From training rows alone: whoever is not in them, and whatever is not rated in them, has no part in it.

        `train` must not tell protected attributes (`models/explain_rec/privacy.py`). Rows of domains that are left out
        are not looked at.
        """
        domain = config.domains(train.batch.products.product_ids)
        kept_rows = np.flatnonzero(~np.isin(domain, config.left_out))
        train, domain = train.take(kept_rows), domain[kept_rows]
        who, what = train.batch.consumers, train.batch.products
        consumers = Vocabulary.build(who.consumer_ids)
        told, attributes = _values(who.attributes), _values(what.attributes)
        number = consumers.encode(who.consumer_ids) - 1
        rows = np.unique(number, return_index=True)[1]
        profiles = _profiles(_tastes(train, number, len(consumers.ids)), _told(who.attributes[rows], told))
        known = np.flatnonzero(np.abs(profiles).sum(1) > 0)
        if len(known) < config.min_support:
            return cls.empty()
        place = np.full(len(profiles), -1)
        place[known] = clusters(profiles[known], config.prototypes, seed)
        support = np.bincount(place[known])
        kept = np.flatnonzero(support >= config.min_support)
        if not len(kept):
            return cls.empty()
        renumbered = np.append(np.full(len(support), -1), -1)
        renumbered[kept] = np.arange(len(kept))
        place = renumbered[place]
        keys = np.stack([profiles[place == n].mean(0) for n in range(len(kept))])
        preferences = _preferences(train, domain, place[number], len(kept), attributes, config.shrink)
        patterns = tuple(_pattern(row, attributes) for row in preferences)
        domains = tuple(tuple(sorted({*domain[place[number] == n]} - {""})) for n in range(len(kept)))
        return cls(told, attributes, unit(keys), preferences, support[kept], patterns, config.top, domains)

    def __len__(self) -> int:
        return len(self.support)

    def lookup(self, consumers: ConsumerBlock) -> Found:
        """The nearest prototypes of consumers by what is told of them; of whom nothing is told, the largest ones."""
        top = min(self.top, len(self))
        told = _told(consumers.attributes, self.told)
        near = unit(told) @ unit(self.keys[:, CONTENT_WIDTH:]).T  # (N, P)
        size = self.support / max(1, self.support.sum())
        order = np.argsort(-(near + 1e-6 * size), axis=1, kind="stable")[:, :top]
        weight = np.exp(SHARPNESS * np.take_along_axis(near, order, 1)) * size[order]
        return Found(order, (weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)).astype(np.float32))

    def priors(self, consumers: ConsumerBlock, products: ProductBlock) -> Floats:
        """(N, N_PRIOR) of pairs: preference for the target's attributes, its strongest one, nearness of its text to the
        prototypes' taste, and 1 where there is a prototype at all; zeros from an empty base.
        """
        priors = np.zeros((len(consumers), N_PRIOR), np.float32)
        if not len(self) or not len(consumers):
            return priors
        found = self.lookup(consumers)
        preference = np.einsum("np,npa->na", found.weights, self.preferences[found.prototypes])
        mean, strongest = _of_attributes(preference, products.attributes, self.attributes)
        taste = np.einsum("np,npc->nc", found.weights, self.keys[found.prototypes, :CONTENT_WIDTH])
        near = (unit(taste) * _contents(products)).sum(1)
        return np.stack([mean, strongest, near, np.ones(len(priors), np.float32)], axis=1).astype(np.float32)

    def pattern(self, consumers: ConsumerBlock) -> list[str]:
        """In words, what the nearest prototype of each consumer prefers; empty from an empty base."""
        if not len(self):
            return [""] * len(consumers)
        return [self.patterns[row[0]] for row in self.lookup(consumers).prototypes]

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a safetensors file."""
        return {"keys": self.keys, "preferences": self.preferences, "support": self.support}

    def to_json(self) -> str:
        """All that is no array."""
        words = {"told": self.told.ids, "attributes": self.attributes.ids, "patterns": self.patterns, "top": self.top}
        return json.dumps({**words, "domains": self.domains}, ensure_ascii=False)

    @classmethod
    def from_parts(cls, arrays: dict[str, NDArray[np.generic]], text: str) -> KnowledgeBase:
        """What `arrays` and `to_json` gave. Raises ValueError, KeyError or TypeError if they are damaged."""
        words = json.loads(text)
        told, attributes = Vocabulary(tuple(words["told"])), Vocabulary(tuple(words["attributes"]))
        patterns, domains = tuple(words["patterns"]), tuple(map(tuple, words["domains"]))
        return cls(told, attributes, **arrays, patterns=patterns, top=words["top"], domains=domains)  # type: ignore[arg-type]


def _values(attributes: Ids) -> Vocabulary:
    return Vocabulary.build(value for listed in set(attributes) for value in listed)


def _numbers(attributes: Ids, vocabulary: Vocabulary) -> NDArray[np.int32]:
    """(N, A) numbers of each row's values, `UNKNOWN` where it has fewer; each distinct tuple is looked up once."""
    place = {listed: n for n, listed in enumerate(dict.fromkeys(attributes))}
    table = np.zeros((len(place), max(map(len, place), default=0)), np.int32)
    for listed, n in place.items():
        table[n, : len(listed)] = vocabulary.encode(np.array(listed, object))
    return table[np.fromiter((place[listed] for listed in attributes), np.intp, len(attributes))]


def _told(attributes: Ids, vocabulary: Vocabulary) -> Floats:
    """(N, T) which values each consumer is told to have; values the base does not know are left out."""
    held = np.zeros((len(attributes), len(vocabulary)), np.float32)
    np.put_along_axis(held, _numbers(attributes, vocabulary).astype(np.intp), 1, axis=1)
    return held[:, 1:]


def _tastes(train: TrainingSet, number: NDArray[np.int32], n_consumers: int) -> Floats:
    """(U, 384): mean text of products weighted by how much better than the consumer's mean they were rated."""
    content = _contents(train.batch.products)
    total, count = np.bincount(number, train.rating, n_consumers), np.bincount(number, minlength=n_consumers)
    above = train.rating - (total / np.maximum(count, 1))[number]
    taste = np.zeros((n_consumers, CONTENT_WIDTH), np.float32)
    np.add.at(taste, number, content * above[:, None].astype(np.float32))
    return taste


def _profiles(tastes: Floats, told: Floats) -> Floats:
    """(U, 384 + T): unit halves side by side, unit together."""
    return unit(np.concatenate([unit(tastes), unit(told)], axis=1))


def _preferences(
    train: TrainingSet, domain: Ids, prototype: NDArray[np.intp], n: int, attributes: Vocabulary, shrink: float
) -> Floats:
    """(P, A + 1): mean over the members' ratings of what domain, product and consumer do not explain, shrunk to 0."""
    frame = pd.DataFrame(
        {"who": train.batch.consumers.consumer_ids, "what": train.batch.products.product_ids, "stars": train.rating}
    )
    frame["rest"] = frame["stars"] - frame["stars"].groupby(domain).transform("mean")
    for side in ("what", "who"):
        by = frame.groupby(side)["rest"]
        frame["rest"] -= by.transform("sum") / (by.transform("size") + shrink / 4)
    rest = frame["rest"].to_numpy()
    numbers = _numbers(train.batch.products.attributes, attributes)
    row, column = np.nonzero((numbers != UNKNOWN) & (prototype >= 0)[:, None])
    at = prototype[row], numbers[row, column]
    sums, size = (np.zeros((n, len(attributes)), np.float32) for _ in range(2))
    np.add.at(sums, at, rest[row].astype(np.float32))
    np.add.at(size, at, 1)
    return sums / (size + shrink)


def _of_attributes(preference: Floats, attributes: Ids, vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    """Mean and strongest (N,) of the preferences (N, A + 1) for each product's attributes; 0 where it has none."""
    numbers = _numbers(attributes, vocabulary)
    known = numbers != UNKNOWN
    found = np.take_along_axis(preference, numbers.astype(np.intp), axis=1) * known  # (N, A)
    if not found.shape[1]:
        return np.zeros(len(found), np.float32), np.zeros(len(found), np.float32)
    strongest = np.take_along_axis(found, np.abs(found).argmax(1)[:, None], axis=1)[:, 0]
    return found.sum(1) / np.maximum(known.sum(1), 1), strongest


def _contents(products: ProductBlock) -> Floats:
    """(N, 384), zeros where there is none."""
    nothing = np.zeros((1, CONTENT_WIDTH), np.float32)
    table = np.concatenate([np.nan_to_num(products.content.table).reshape(-1, CONTENT_WIDTH), nothing])
    return unit(table)[products.content.index]


def _pattern(preference: Floats, attributes: Vocabulary) -> str:
    """What members rate higher and lower than expected, in words; empty where they do not differ."""
    order: Sequence[int] = np.argsort(-preference[1:], kind="stable").tolist()
    higher = [attributes.ids[n] for n in order[:NAMED] if preference[n + 1] > 0]
    lower = [attributes.ids[n] for n in order[::-1][:NAMED] if preference[n + 1] < 0]
    sides = (("higher", higher), ("lower", lower))
    told = [f"rate {', '.join(_words(it) for it in named)} {side} than others do" for side, named in sides if named]
    return f"Consumers like this one {' and '.join(told)}." if told else ""


def _words(value: str) -> str:
    """`genre=Sci-Fi` as `Sci-Fi`."""
    return value.partition("=")[2] or value
