"""What products are, and the columns that variants of guided refinement put beside the reduced base embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.ranking import product_texts
from features.batch import CODE_WIDTH, N_FACETS, PRODUCT_NUMERIC, Indexed, ProductBlock, tuples
from features.readers.registry import read_dataset
from features.settings import HostSettings
from features.types import content_hash
from models.attributes.asked import Subject
from models.attributes.listed import Attribute, read_list
from models.attributes.scorer import ProductScorer, ScorerConfig
from models.text import TextEncoder

Source = Literal[
    "facts", "language_model", "random", "text", "untuned", "tuned", "tuned_rec", "tuned_format"
]  # fmt: skip
"""The last four are scores of a list answer, by a language model as it is or tuned (`guided_tuned`)."""
DOMAINS = {
    "ml-100k": "movies",
    "ml-latest-small": "movies",
    "amazon-musical-instruments": "music_gear",
    "amazon-beauty": "beauty",
}
"""The list of attributes of each dataset."""
ASKED = 400
"""Products that the language model scores; the others are scored like them."""
AT_ONCE = 100
"""Products whose scores are asked for, and kept, together."""
Floats = NDArray[np.float32]


def embedded() -> Path:
    """The embedded language model's folder."""
    from models.llm.gguf import converted

    return converted(HostSettings.from_environment().models)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """P products in the order of their numbers."""

    products: ProductBlock
    attributes: tuple[Attribute, ...]
    texts: list[str]
    """Title and description, without the catalog's values."""
    folder: Path
    """Where what takes long is kept."""
    language_model: Callable[[], Path] = embedded
    """Names the folder of the network that scores them."""


def read_catalogue(dataset: str, data: Path, product_ids: list[str], folder: Path) -> Catalogue:
    """Products with the text vectors and values that the platform would give them."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = read_dataset("", data / dataset).catalog
    values: dict[str, list[str]] = {}
    for product, name, value in catalog.attributes[["product_id", "name", "value"]].itertuples(index=False):
        values.setdefault(product, []).append(f"{name}={value}")
    row = catalog.products.set_index("product_id")
    described = dataset != "amazon-beauty"  # its descriptions were made from reviews, which are events
    texts = {it: str(row["title"].get(it, "")) for it in product_ids}
    if described:
        texts = {it: f"{text}. {row['description'].get(it, '')}".strip(". ") for it, text in texts.items()}
    told, path = product_texts(dataset, data), folder / "content.npy"
    whole = [". ".join(filter(None, [told.get(it, ""), texts[it] if described else ""])) for it in product_ids]
    if not path.exists():
        np.save(path, TextEncoder().encode(whole))
    block = product_block(product_ids, np.load(path), [values.get(it, []) for it in product_ids])
    return Catalogue(block, read_list(DOMAINS[dataset]), list(texts.values()), folder)


def product_block(product_ids: list[str], content: Floats, values: list[list[str]]) -> ProductBlock:
    """Products of which texts and catalog values are known, and nothing else."""
    n = len(product_ids)
    nowhere = np.full(n, -1, np.int32)
    return ProductBlock(
        np.array(product_ids, object),
        np.full((n, len(PRODUCT_NUMERIC)), np.nan, np.float32),
        tuples(values),
        Indexed(content, np.arange(n, dtype=np.int32)),
        Indexed(np.zeros((0, 2, N_FACETS, CODE_WIDTH), np.float32), nowhere),
        Indexed(np.zeros((0, 2, N_FACETS), np.float32), nowhere),
    )


def scores_of(source: Source, catalogue: Catalogue, known: NDArray[np.intp], seed: int) -> Floats:
    """(P, m) columns on a standard scale of the products numbered `known`.

    Args:
        source: attribute scores from facts or from a language model; random numbers; or the m directions of largest
            variance of the text vectors. Not those of a list answer, which take a base model.
        catalogue: all products.
        known: those with an event, whose statistics count.
        seed: of the random numbers.
    """
    scorer = facts_scorer(catalogue, known)
    if source == "facts":
        return scorer.standard(catalogue.products)
    if source == "language_model":
        return language_model_scorer(catalogue, known).standard(catalogue.products)
    m = len(scorer.attributes)
    if source == "random":
        columns = np.random.default_rng(seed).normal(size=(len(catalogue.products), m))
    elif source == "text":
        vectors = catalogue.products.content.table - catalogue.products.content.table[known].mean(0)
        _, _, directions = np.linalg.svd(vectors[known], full_matrices=False)
        columns = vectors @ directions[:m].T
    else:
        raise ValueError(f"Columns of {source!r} take a base model.")
    return ((columns - columns[known].mean(0)) / columns[known].std(0)).astype(np.float32)


def facts_scorer(catalogue: Catalogue, known: NDArray[np.intp]) -> ProductScorer:
    """Attribute scores without a language model."""
    return ProductScorer.from_facts(
        catalogue.products.take(known), catalogue.attributes, lambda texts: TextEncoder().encode(texts), ScorerConfig()
    )


def language_model_scorer(catalogue: Catalogue, known: NDArray[np.intp]) -> ProductScorer:
    """The language model's expected scores of some known products, repeated by a ridge regression for all."""
    chosen = sample(known)
    return repeated(catalogue, chosen, expected_scores(catalogue, chosen))


def repeated(catalogue: Catalogue, chosen: NDArray[np.intp], scores: Floats) -> ProductScorer:
    """A scorer that repeats the scores (n, m) of the chosen products for all, as a model in service does."""
    return ProductScorer.from_scores(catalogue.products.take(chosen), scores, catalogue.attributes, ScorerConfig())


def sample(known: NDArray[np.intp]) -> NDArray[np.intp]:
    """Up to ASKED products, drawn once."""
    return np.sort(np.random.default_rng(0).permutation(np.sort(known))[:ASKED])


def expected_scores(catalogue: Catalogue, chosen: NDArray[np.intp]) -> Floats:
    """(n, m) expected scores of the chosen products by the language model, made once."""
    from models.attributes.expected import ExpectedScores

    path = catalogue.folder / f"expected-{content_hash(chosen.tolist())[:12]}.npy"
    if not path.exists():
        subjects = [Subject(str(catalogue.products.product_ids[it]), catalogue.texts[it]) for it in chosen]
        np.save(path, ExpectedScores(catalogue.language_model()).score(subjects, catalogue.attributes))
    return np.load(path).astype(np.float32)


def every_expected_score(catalogue: Catalogue) -> Floats:
    """(P, m) the same of all products; what was asked before a stop is kept."""
    every = np.arange(len(catalogue.products))
    return np.concatenate([expected_scores(catalogue, it) for it in np.split(every, every[AT_ONCE::AT_ONCE])])


def audit(
    catalogue: Catalogue, known: NDArray[np.intp], asked: bool, others: Mapping[str, Floats] | None = None
) -> dict[str, Any]:
    """Spearman's rho of each attribute with the catalog's values that tell of it, where no score has seen them.

    Scores are read from title and description alone: the facts' semantic axes, and, if `asked`, the language model's,
    which takes long; and other scores (P, m) by name.
    """
    known = sample(known)
    texts = TextEncoder().encode([catalogue.texts[it] for it in known])
    bare = product_block([str(it) for it in catalogue.products.product_ids[known]], texts, [[]] * len(known))
    blind = tuple(
        it.model_copy(update={"told_by": (), "told_against": (), "number": ""}) for it in catalogue.attributes
    )
    axes = ProductScorer.from_facts(bare, blind, lambda it: TextEncoder().encode(it), ScorerConfig(most_alike=1.1))
    read = {"axes": axes.score(bare)}
    if asked:
        read["language_model"] = expected_scores(catalogue, known)
    read |= {name: scores[known] for name, scores in (others or {}).items()}
    values = catalogue.products.take(known).attributes
    found: dict[str, Any] = {}
    for n, attribute in enumerate(catalogue.attributes):
        truth = held_out(attribute, values)
        if truth is not None:
            found[attribute.name] = {
                name: round(float(spearmanr(scores[:, n], truth, nan_policy="omit").statistic), 3)
                for name, scores in read.items()
            }
    means = {name: round(float(np.mean([abs(it[name]) for it in found.values()])), 3) for name in read}
    return {"rho": found, "mean_absolute_rho": means, "products": len(known)}


def held_out(attribute: Attribute, values: NDArray[np.object_]) -> NDArray[np.float64] | None:
    """(N,) what the catalog says of an attribute; None if it says nothing, or the same of all."""
    if attribute.number:
        told = [[float(it.split("=")[1]) for it in row if it.startswith(f"{attribute.number}=")] for row in values]
        return np.array([it[0] if it else np.nan for it in told])
    if not attribute.told_by:
        return None
    signs = [sum((it in attribute.told_by) - (it in attribute.told_against) for it in row) for row in values]
    truth = np.array(signs, float)
    return truth if truth.std() > 0 else None
