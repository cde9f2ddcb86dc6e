"""Small invented worlds, from which the real fact makers make the facts a model is tuned on."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import numpy as np
import pandas as pd

from features.evidence import EvidenceWindow
from features.facts import consumer_facts, product_facts
from features.types import ATTRIBUTE_COLUMNS, PRODUCT_COLUMNS, Catalog, Fact, Interactions, Snapshot
from models.explanations import tuning_domains as words
from models.explanations.tuning_domains import Domain

N_PRODUCTS = 24
SIZES = ((24, 260, 0.3), (24, 260, 0.3), (90, 1700, 0.9))
"""Consumers, events and share of silent ones: worlds that write much, and crowds whose numbers are larger."""
AS_OF = datetime(2030, 1, 1, tzinfo=UTC)


def world_facts(domain: Domain, seed: int) -> list[Fact]:
    """Facts of one invented world; the same seed gives the same world."""
    snapshot, window = invent(domain, seed), EvidenceWindow()
    return [*consumer_facts(snapshot, window, domain.wording), *product_facts(snapshot, window, domain.wording)]


def invent(domain: Domain, seed: int) -> Snapshot:
    """Products with titles, attributes and descriptions, and consumers with tastes who rate and review them."""
    rng, numbers = Random(f"{domain.many}/{seed}"), np.random.default_rng([seed, len(domain.many)])
    ids = [f"p{n}" for n in range(N_PRODUCTS)]
    titles = [_title(domain, rng) for _ in ids]
    described = [_description(domain, rng, title) if rng.random() < 0.8 else "" for title in titles]
    attributes = pd.DataFrame(
        [(product, name, rng.choice(values)) for product in ids for name, values in domain.attributes.items()],
        columns=list(ATTRIBUTE_COLUMNS),
    )
    products = pd.DataFrame(zip(ids, titles, described, strict=True), columns=list(PRODUCT_COLUMNS))
    events = _events(domain, rng, numbers, attributes, *SIZES[seed % len(SIZES)])
    return Snapshot(Interactions(events), Catalog(products, attributes), domain.scale, AS_OF)


def _events(
    domain: Domain,
    rng: Random,
    numbers: np.random.Generator,
    attributes: pd.DataFrame,
    n_consumers: int,
    n_events: int,
    silent: float,
) -> pd.DataFrame:
    """Interactions in order of time, no pair twice; likings go with attributes, so that there are tastes."""
    fame = np.tile(numbers.lognormal(0, 1.0, N_PRODUCTS), n_consumers)
    pairs = numbers.choice(len(fame), n_events, replace=False, p=fame / fame.sum())
    consumer, product = pairs // N_PRODUCTS, pairs % N_PRODUCTS
    codes = attributes["value"].astype("category").cat.codes.to_numpy().reshape(N_PRODUCTS, -1)
    tastes = numbers.normal(0, 1.0, (n_consumers, codes.max() + 1))
    liking = tastes[consumer[:, None], codes[product]].mean(1)
    liking += numbers.normal(0.3, 0.5, N_PRODUCTS)[product] + numbers.normal(0, 0.6, len(pairs))
    scale, step = domain.scale, 0.5 if domain.scale.low == 0.5 else 1.0
    middle, width = (scale.low + scale.high) / 2, (scale.high - scale.low) / 4
    rating = np.clip(np.round((middle + width * liking) / step) * step, scale.low, scale.high)
    reviews = [_review(domain, rng, stars >= scale.like_from) if rng.random() > silent else None for stars in rating]
    times = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(np.sort(numbers.uniform(0, 3000, len(pairs))), "D")
    return pd.DataFrame(
        {
            "row": np.arange(len(pairs)),
            "consumer_id": [f"c{n}" for n in consumer],
            "product_id": [f"p{n}" for n in product],
            "timestamp": times.as_unit("us"),
            "rating": rating,
            "review": reviews,
        }
    )


def _title(domain: Domain, rng: Random) -> str:
    adjective, noun, other = rng.choice(words.ADJECTIVES).title(), rng.choice(words.NOUNS).title(), _name(rng)
    if domain.work:
        second = rng.choice(words.NOUNS).title()
        forms = (
            f"{adjective} {noun}",
            f"{noun} of {second}s",
            f"{noun}, The",
            f"{other}'s {adjective} {noun}",
            f"{noun} {rng.randint(2, 9)}: The {adjective} {second}",
            f"A {noun} for {rng.choice(words.FIRST)}",
            f"{noun}! {second}!",
            f"How to {rng.choice(words.VERBS).title()} a {noun}",
        )
        year = f" ({rng.randint(1930, 2023)})" if rng.random() < 0.5 else ""
        return rng.choice(forms) + year
    brand, thing = _brand(rng), rng.choice(domain.things).title()
    code = "".join(rng.choices("ABCDEFGKLMNPRSTVX", k=rng.randint(1, 3))) + str(rng.randint(2, 990))
    names = (
        f"{brand} {noun} {code}",
        f"{brand} {code} {adjective} {thing}",
        f"{brand} {adjective} {thing} with {rng.choice(domain.things).title()}, {rng.randint(2, 12)}-Pack",
        f"{adjective} {noun} by {brand} ({rng.choice(('Black', 'Red', 'Large', '2nd Edition'))})",
        f"{brand} {thing} - {rng.randint(4, 30)} Inch",
        f"{brand} {adjective} {noun} {thing}",
        f"The {adjective} {noun}",
    )
    return rng.choice(names)


def _brand(rng: Random) -> str:
    """An invented name of two to four syllables."""
    syllables = ("ba", "cor", "del", "fan", "gri", "hol", "ka", "lun", "mer", "no", "pra", "quil", "ro", "sta", "vex")
    name = "".join(rng.choices(syllables, k=rng.randint(2, 3))).title()
    return rng.choice(
        (name, name, f"{name} {rng.choice(words.LAST)}", f"{name}{rng.choice(('ex', 'on', 'ia', 'Pro'))}")
    )


def _name(rng: Random) -> str:
    return f"{rng.choice(words.FIRST)} {rng.choice(words.LAST)}"


def _review(domain: Domain, rng: Random, liked: bool) -> str:
    """One or two telling sentences among others, some untidy as people write."""
    thing, other = rng.sample(domain.things, 2)
    text = rng.choice(words.PRAISE if liked else words.BLAME).format(
        thing=thing,
        other=other,
        good=rng.choice(words.GOOD),
        bad=rng.choice(words.BAD),
        when=rng.choice(words.WHEN),
        who=rng.choice(words.WHO),
        brand=_brand(rng),
        number=rng.randint(5, 400),
    )
    if rng.random() < 0.5:
        text += rng.choice(words.TAILS).format(
            adjective=rng.choice(words.ADJECTIVES), noun=rng.choice(words.NOUNS), role=rng.choice(words.ROLES)
        )
    style = rng.random()
    text = text[:1].upper() + text[1:] if style < 0.8 else text.lower() if style < 0.95 else text
    return (
        f"{text}{rng.choice(('.', '.', '!'))} {rng.choice(('Arrived on time.', 'That is all.', 'Thanks for reading.'))}"
    )


def _description(domain: Domain, rng: Random, title: str) -> str:
    adjective, adjective2 = rng.sample(words.ADJECTIVES, 2)
    noun, noun2 = rng.sample(words.NOUNS, 2)
    thing, other = rng.sample(domain.things, 2)
    text = rng.choice(words.PLOTS if domain.work else words.BLURBS).format(
        title=title.split(" (")[0],
        adjective=adjective,
        adjective2=adjective2,
        noun=noun,
        noun2=noun2,
        thing=thing,
        other=other,
        role=rng.choice(words.ROLES),
        verb=rng.choice(words.VERBS),
        event=rng.choice(words.EVENTS),
        city=rng.choice(words.CITIES),
        place=rng.choice(words.NOUNS),
        name=_name(rng),
        name2=rng.choice(words.FIRST),
        brand=_brand(rng),
        age=rng.randint(7, 81),
        number=rng.randint(2, 60),
    )
    return f"{text}."
