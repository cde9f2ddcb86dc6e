"""The shop of the built-in world: products with titles, brands, prices, spec sheets and descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.readers.files import attribute_rows, price_band
from features.readers.world_aspects import ASPECTS, Aspect

CATEGORIES = {
    "Over-Ear Headphones": "a pair of over-ear headphones",
    "On-Ear Headphones": "a pair of on-ear headphones",
    "In-Ear Monitors": "a pair of in-ear monitors",
    "Wireless Earbuds": "a pair of wireless earbuds",
    "Gaming Headset": "a gaming headset",
    "Studio Headphones": "a pair of studio headphones",
}
BRANDS = (
    "Aurelo", "Brantvik", "Calyxon", "Dunmora", "Elvane", "Fjordale", "Grindel", "Harmonel", "Isarno", "Jorvik Audio",
    "Kolmar", "Lindqvist & Rowe", "Montrave", "Nordlys Sound",
)  # fmt: skip
MODELS = [
    "Drift", "Ember", "Harbour", "Lumen", "Meadow", "Nimbus", "Orbit", "Prairie", "Quartz", "Ridge", "Solace", "Tundra",
    "Umbra", "Vista", "Willow", "Zephyr", "Arc", "Beacon", "Cinder", "Delta", "Echo", "Fable", "Grove", "Haven",
    "Inlet", "Juniper", "Kite", "Lagoon", "Mirth", "North", "Opal", "Pulse", "Quill", "River", "Summit", "Thistle",
    "Unity", "Velvet", "Wave", "Yonder",
]  # fmt: skip
"""Invented, as the brands are."""
LEADS = (
    "The {model} is {kind} by {brand} with {listed}.",
    "{brand} presents the {model}, {kind} with {listed}.",
    "With the {model}, {brand} makes {kind} with {listed}.",
)
DOWNSIDES = ("On the downside, {clause}.", "Less convincing: {clause}.", "Testers note that {clause}.")


@dataclass(frozen=True, eq=False)
class Shop:
    """P products; aspects as bits."""

    ids: NDArray[np.object_]
    strengths: NDArray[np.uint32]
    weaknesses: NDArray[np.uint32]
    quality: NDArray[np.float64]  # stars
    fame: NDArray[np.float64]  # log odds of being chosen
    season: NDArray[np.float64]  # when in the cycle of fashion, 0 to 1
    launch: NDArray[np.float64]  # share of the world's time after which it is on sale
    products: pd.DataFrame
    attributes: pd.DataFrame


def stock_shop(
    rng: np.random.Generator, strengths: NDArray[np.uint32], weaknesses: NDArray[np.uint32], informative: bool
) -> Shop:
    """Draws P products; without `informative` their texts speak of another product's aspects."""
    n = len(strengths)
    ids = np.array([f"p{number:0{len(str(n))}d}" for number in range(1, n + 1)], dtype=object)
    quality, fame, season = rng.normal(0, 0.35, n), rng.normal(0, 0.8, n), rng.random(n)
    late = rng.random(n) < 0.3
    late[0] = False  # something is on sale from the start
    launch = np.where(late, rng.uniform(0, 0.75, n), 0.0)
    price = np.exp(4.2 + 0.6 * quality + rng.normal(0, 0.7, n))
    order = rng.permutation(n)
    shown = (strengths, weaknesses) if informative else (strengths[order], weaknesses[order])
    products, attributes = _texts(rng, ids, price, *map(_listed, shown))
    return Shop(ids, strengths, weaknesses, quality, fame, season, launch, products, attributes)


def _texts(
    rng: np.random.Generator,
    ids: NDArray[np.object_],
    price: NDArray[np.float64],
    strengths: list[list[Aspect]],
    weaknesses: list[list[Aspect]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Titles, descriptions and attributes."""
    n = len(ids)
    brand, category = rng.choice(BRANDS, n).astype(object), rng.choice(list(CATEGORIES), n).astype(object)
    number = 10 * (10 + np.arange(n) // len(MODELS)) + rng.integers(10, size=n)
    model = [f"{MODELS[index % len(MODELS)]} {number[index]}" for index in range(n)]
    style = rng.integers(3, size=(n, 2))
    descriptions = [_describe(model[i], brand[i], category[i], strengths[i], weaknesses[i], style[i]) for i in range(n)]
    titles = [f"{brand[i]} {model[i]} {category[i]}" for i in range(n)]
    products = pd.DataFrame({"product_id": ids, "title": titles, "description": descriptions})
    features = [[aspect.name for aspect in listed] for listed in strengths]
    columns: dict[str, list[Any]] = {
        "category": category.tolist(),
        "brand": brand.tolist(),
        "price_band": [price_band(f"{amount:.2f}") for amount in price],
        "feature": features,
    }
    rows = [attribute_rows(products["product_id"], name, pd.Series(value)) for name, value in columns.items()]
    return products, pd.concat(rows, ignore_index=True)


def _describe(
    model: str, brand: str, category: str, strong: list[Aspect], weak: list[Aspect], style: NDArray[np.int_]
) -> str:
    """What it is and offers, then where it falls short."""
    phrases = [aspect.strong for aspect in strong]
    listed = f"{', '.join(phrases[:-1])} and {phrases[-1]}" if len(phrases) > 1 else phrases[0]
    lead = LEADS[style[0]].format(model=model, brand=brand, kind=CATEGORIES[category], listed=listed)
    downsides = [
        DOWNSIDES[(style[1] + place) % len(DOWNSIDES)].format(clause=aspect.weak) for place, aspect in enumerate(weak)
    ]
    return " ".join([lead, *downsides])


def _listed(bits: NDArray[np.uint32]) -> list[list[Aspect]]:
    """The aspects in each set."""
    return [[aspect for place, aspect in enumerate(ASPECTS) if word >> place & 1] for word in bits.tolist()]
