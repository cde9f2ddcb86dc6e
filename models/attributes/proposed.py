"""Attributes of a domain proposed by a language model from a sample of the catalog, for a person to prune.

Source: arXiv 2504.11658 has a person list the attributes; that a model proposes them is ours, and so is the prompt. A
proposal passes gates of its own: every attribute is short, another one than those before, about products and not about
people, and shows nothing that the platform shows nobody (`unshowable`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import eq

import numpy as np

from features.errors import GenerationError
from features.sentences import spoken_title
from features.types import Catalog, ModelIdentity, ShownFact, Slot, TextRequest
from features.words import content
from models.attributes.asked import finished_lines
from models.attributes.listed import Attribute
from models.explain_rec.privacy import PROTECTED
from models.explanations.gates import unshowable
from models.explanations.preferences import Ask

KIND = "attribute_proposal"
SYSTEM = """\
You know what people choose products by. You name attributes: what the products of a shop differ in by degree, what \
those who choose care about, and what can be told from a product's description."""
PROMPT = """\
The facts are some {many} of a shop. Name {n} attributes of such {many}, one in each line, in four parts:
name | how much there is of it, beginning with "how" | what one with much of it is like | what one with little is like
No attribute repeats another, names one of the {many} or a maker, or is about the people who choose."""
N_SHOWN = 40
"""Products of the sample."""
TRIES = 3
FEWEST = 2
"""Attributes without which there is no list."""
MAX_NAME_WORDS, MAX_PART_WORDS = 4, 16
_N_VALUES = 6
"""Values of the catalog that are told of a product."""
_MAX_TOKENS = 72


class Refusal(StrEnum):
    """Why a proposed attribute is left out."""

    FORM = "not in four parts"
    LONG = "too long"
    ENDS = "both ends are alike"
    REPEATED = "another one says the same"
    NAMED = "names a product or a value of the catalog"
    PEOPLE = "about people"
    UNSHOWABLE = "may not be shown"


@dataclass(frozen=True)
class Proposal:
    """What a model proposed, and what was left out of it and why."""

    attributes: tuple[Attribute, ...]
    refused: tuple[tuple[str, Refusal], ...]
    model: ModelIdentity


def proposal_request(catalog: Catalog, many: str, n: int, identity: ModelIdentity, attempt: int = 0) -> TextRequest:
    """The request for n attributes.

    Args:
        catalog: what a sample is drawn from; titles and values are shown, neither reviews nor consumers.
        many: plural noun of the products.
        n: how many attributes.
        identity: the model that will answer.
        attempt: 0 for the first try; a later one shows another sample.
    """
    drawn = np.random.default_rng(attempt).permutation(len(catalog.products))[:N_SHOWN]
    values = catalog.attributes.groupby("product_id")["value"].agg(list)
    told = [
        f"{said} ({', '.join(map(str, values.get(product, [])[:_N_VALUES]))})".removesuffix(" ()")
        for product, title in catalog.products.iloc[drawn][["product_id", "title"]].itertuples(index=False)
        if (said := spoken_title(title))
    ]
    shown = tuple(ShownFact(f"F{n}", text) for n, text in enumerate(told, 1))
    slots = tuple(Slot("", _MAX_TOKENS) for _ in range(n))
    temperature = 0.0 if attempt == 0 else 0.7
    prompt = PROMPT.format(many=many, n=n)
    return TextRequest(KIND, f"attributes of {many}", SYSTEM, prompt, slots, identity, temperature, attempt, shown)


def propose(catalog: Catalog, many: str, n: int, identity: ModelIdentity, ask: Ask) -> Proposal:
    """Up to n attributes, asked for up to `TRIES` times; what several answers say is put together.

    Args:
        catalog, many, n, identity: as in `proposal_request`.
        ask: has requests answered, through the ledger; gives the usable answers by request key.

    Raises:
        GenerationError: fewer than `FEWEST` attributes passed the gates.
    """
    kept, refused = list[Attribute](), list[tuple[str, Refusal]]()
    for attempt in range(TRIES):
        request = proposal_request(catalog, many, n, identity, attempt)
        for line in finished_lines(ask([request]).get(request.key)):
            found = read_attribute(line, request, kept)
            if isinstance(found, Refusal):
                refused.append((line, found))
            elif len(kept) < n:
                kept.append(found)
        if len(kept) == n:
            break
    if len(kept) < FEWEST:
        left_out = "; ".join(f"{line!r}: {why}" for line, why in refused[:3])
        raise GenerationError(
            f"{identity.name} proposed {len(kept)} usable attributes in {TRIES} tries.",
            left_out and f"Left out, among others: {left_out}.",
            "Ask a larger model (COUNTERPOINT_LLM_URL), or write the list by hand as in models/attributes/lists.",
        )
    return Proposal(tuple(kept), tuple(refused), identity)


def read_attribute(line: str, request: TextRequest, kept: Sequence[Attribute]) -> Attribute | Refusal:
    """The attribute in a line of an answer, or why it is none beside those kept so far."""
    parts = [" ".join(part.split()).strip(" .*-") for part in line.split("|")]
    if len(parts) != 4 or not all(parts):
        return Refusal.FORM
    name, description, high, low = parts
    if len(name.split()) > MAX_NAME_WORDS or any(len(part.split()) > MAX_PART_WORDS for part in parts):
        return Refusal.LONG
    if content(high) == content(low):
        return Refusal.ENDS
    about = (content(name), content(description), content(high))
    if any(any(map(eq, about, (content(it.name), content(it.description), content(it.high)))) for it in kept):
        return Refusal.REPEATED
    if any(name.lower() in _names_of(fact.text) for fact in request.facts):
        return Refusal.NAMED
    if name.lower() in PROTECTED:
        return Refusal.PEOPLE
    shown = "\n".join(fact.text for fact in request.facts)
    if any(unshowable(part, f"{request.system}\n{request.prompt}", shown) for part in parts):
        return Refusal.UNSHOWABLE
    return Attribute(name=name.lower(), description=description, high=high, low=low)


def listed_text(proposal: Proposal, many: str) -> str:
    """The attributes as a file that a recipe may name, for a person to edit."""
    head = (
        f"# Proposed by {proposal.model.name} for {many}; {len(proposal.refused)} proposals were left out.\n"
        "# Read it, prune it, and add `told_by` and `told_against`: values of the catalog that speak for and against.\n"
    )
    return "\n".join([head, *map(_table, proposal.attributes)])


def _table(attribute: Attribute) -> str:
    """One attribute as TOML, whose strings are JSON's."""
    told = attribute.model_dump(include={"name", "description", "high", "low"})
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in told.items()]
    return "".join(["[[attribute]]\n", *lines])


def _names_of(told: str) -> set[str]:
    """A product's title and values, in lower case."""
    title, _, values = told.rpartition(" (")
    return {title.lower(), told.lower(), *(value.strip(" )").lower() for value in values.split(","))}
