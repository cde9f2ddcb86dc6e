"""How a lead may be gone on with: the sentences a model is tuned to write, all of them in the facts' own words.

Each family is tried against a lead by how it ends; a test sees to it that every sentence passes the gates.
"""

from __future__ import annotations

import re

from models.explanations.statements import Kind, Statement

_OF_THEM = "you rated {n} of them {mean} {top} on average"
_RATED = ", {side} your usual {usual}."
_QUOTE = ((r"", ("{quote}.",)),)

FAMILIES: dict[Kind, tuple[tuple[str, tuple[str, ...]], ...]] = {
    Kind.TASTE: (
        (
            r"^Of the ",
            ("the average was {mean} {top}" + _RATED, "the average was {mean} {top}; among them {examples}."),
        ),
        (
            r"on average,$",
            (
                "you rated {n} {phrase}" + _RATED,
                "you rated {n} {phrase}, among them {examples}" + _RATED,
            ),
        ),
        (
            r"[:,]$",
            (
                _OF_THEM + _RATED,
                "you rated {n} of them, among them {examples}, {mean} {top} on average.",
                _OF_THEM + "; among them {examples}.",
            ),
        ),
        (
            r"",
            (
                "such as {examples}, and rated {n} of them {mean} {top} on average.",
                "such as {examples}: " + _OF_THEM + _RATED,
                "and rated {n} of them {mean} {top} on average" + _RATED,
            ),
        ),
    ),
    Kind.TITLE: (
        (r" got$", ("{stars} {top} from you.",)),
        (r"^With ", ("is rated {side} your usual {usual}.", "is {side} your usual {usual}.")),
        (r":$", ("you rated it {stars} {top}" + _RATED, "you gave it {stars} {top}" + _RATED)),
        (r"", ("and rated it {stars} {top}" + _RATED, "and gave it {stars} {top}" + _RATED)),
    ),
    Kind.WROTE: _QUOTE,
    Kind.MEAN: (
        (r"^With ", ("it is rated {side} the catalog's {usual}.", "it is {side} the catalog's {usual}.")),
        (
            r"catalog's [\d.]+:$",
            ("{who} rated it {mean} {top} on average.", "it has {mean} {top} on average from {who}."),
        ),
        (
            r":$",
            (
                "{who} rated it {mean} {top} on average, {side} the catalog's {usual}.",
                "it has {mean} {top} on average from {who}, {side} the catalog's {usual}.",
            ),
        ),
        (r"^Its average", ("is {side} the catalog's {usual}.",)),
        (r"^Rated by", ("it has {mean} {top} on average, {side} the catalog's {usual}.",)),
        (r"^On average,", ("{who} rated it {mean} {top}, {side} the catalog's {usual}.",)),
        (r"rated it$", ("{mean} {top} on average, {side} the catalog's {usual}.",)),
        (r"", ("it is rated {mean} {top} on average by {who}.",)),
    ),
    Kind.COUNT: (
        (r"^Of ", ("{part} of them rated it {bound}.",)),
        (r"\d consumers?,$", ("who rated it {bound}.",)),
        (r"\d consumers?:$", ("they rated it {bound}.",)),
        (r":$", ("{part} of {who} rated it {bound}.",)),
        (r"", ("rated it {bound}.",)),
    ),
    Kind.AFFINITY: (
        (
            r"^For|^Among",
            (
                "it has {mean} {top} on average, {side} its overall {usual}.",
                "it is rated {mean} {top} on average, {side} its overall {usual}.",
            ),
        ),
        (
            r":$",
            ("the {n} of them rated it {mean} {top} on average, {side} its overall {usual}.",),
        ),
        (r"", ("rated it {mean} {top} on average, {side} its overall {usual}.",)),
    ),
    Kind.REVIEW: _QUOTE,
    Kind.DESCRIPTION: _QUOTE,
    Kind.ATTRIBUTE: ((r"", ("its {name} is {value}.",)),),
}


def continuations(statement: Statement, opening: str) -> list[str]:
    """Every way to go on from a lead; empty where a part that all of them need is missing."""
    fitting = next(texts for pattern, texts in FAMILIES[statement.kind] if re.search(pattern, opening))
    usable = [text for text in fitting if statement.parts.get("examples") or "{examples}" not in text]
    return [re.sub(r"([.!?])\.$", r"\1", text.format(**statement.parts)) for text in usable]
