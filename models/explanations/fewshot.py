"""Asking a model that was not tuned: examples to follow, and an opening that leaves little to go wrong.

A line's opening is made from the fact, so stance and citation are fixed before the model writes a word; it only
finishes the sentence. `template` says the same without a model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from features.types import EntityKind, Fact, Stance
from features.wording import Wording

CONSUMER_SYSTEM = """\
You turn a fact about a person into one plain sentence. Keep names and numbers as they are and add nothing.

Fact: rated 12 jazz records 4.6 of 5 on average, above their usual 3.4; among them Kind of Blue and Blue Train
Sentence: You enjoy jazz records such as Kind of Blue and Blue Train, and rated 12 of them 4.6 of 5 on average.
Fact: rated 7 opera records 2.1 of 5 on average, below their usual 3.4; among them Tosca and Aida
Sentence: You are less taken with opera records such as Tosca and Aida, \
and rated 7 of them 2.1 of 5 on average.
Fact: rated Nevermind 1 of 5, below their usual 3.4
Sentence: You did not take to Nevermind and rated it 1 of 5, below your usual 3.4.
Fact: wrote of Oak Shelf, rated 5: "It was easy to build and holds all my records"
Sentence: You praised Oak Shelf and wrote: It was easy to build and holds all my records."""

PRODUCT_SYSTEM = """\
You turn a fact about a product into one plain sentence. Keep names and numbers as they are and add nothing.

Fact: described as: "Blue Hour is a moody trio recording that explores long, quiet piano solos"
Sentence: It is a moody trio recording that explores long, quiet piano solos.
Fact: described as: "In Night Train, three friends record an album before their label closes"
Sentence: In it, three friends record an album before their label closes.
Fact: the 12 consumers who enjoy jazz records rated it 4.6 of 5 on average, above its overall 3.9
Sentence: It appeals to those who enjoy jazz records: 12 of them rated it 4.6 of 5 on average, \
above its overall 3.9.
Fact: rated by 80 consumers, 3.9 of 5 on average, above the catalog's 3.4
Sentence: With 3.9 of 5 on average from 80 consumers, it is rated above the catalog's 3.4.
Fact: 6 of 80 consumers rated it 2 or lower
Sentence: It let down 6 of 80 consumers, who rated it 2 or lower.
Fact: a consumer who rated it 5 wrote: "It was easy to build and holds all my records"
Sentence: A consumer who rated it 5 wrote: It was easy to build and holds all my records."""

PAIR_SYSTEM = """\
You give one reason, in one plain sentence, from facts about a person and a product. Add nothing to the facts.

The person:
- rated 12 jazz records 4.6 of 5 on average, above their usual 3.4; among them Kind of Blue
- rated 7 opera records 2.1 of 5 on average, below their usual 3.4; among them Tosca
The product, Blue Hour:
- its genre is Jazz
- the 5 consumers who enjoy opera records rated it 2.1 of 5 on average, below its overall 3.9
Why would this person enjoy it?
This person would enjoy it because it is one of the jazz records, which they rated above their usual.
Why would this person not enjoy it?
This person would not enjoy it because those who enjoy opera records rated it below its overall 3.9."""

POLARITY = {Stance.FOR: "enjoy", Stance.AGAINST: "not enjoy"}
"""The phrase in which the two questions, and the two openings, differ."""
SYSTEMS = {EntityKind.CONSUMER: CONSUMER_SYSTEM, EntityKind.PRODUCT: PRODUCT_SYSTEM}

_REVIEW = re.compile(r'^wrote of (?P<title>.+), rated (?P<stars>[\d.]+): "(?P<quote>.+)"$')
_RATED = re.compile(r"^rated (?P<title>.+) (?P<stars>[\d.]+) of (?P<top>[\d.]+), (?:above|below)")
_MEAN = re.compile(r"^rated by (?P<who>\d+ consumers?), (?P<mean>[\d.]+ of [\d.]+) on average")
_COUNT = re.compile(r"^(?P<count>\d+ of \d+ consumers?) rated")
_TASTE = re.compile(r"^the (?P<count>\d+) consumers")
_QUOTE = re.compile(r'"(?P<quote>.+)"$')
_IS = re.compile(r"^.{0,80}? is (?P<article>an?|the) ")
QUOTED_WORDS = 3
MILD = 0.75
"""From this share of the top rating, a rating below the usual one is called `a little less taken with`."""


def pair_prompt(title: str, facts: Sequence[Fact], stance: Stance) -> str:
    """The facts about a person and a product, and the question."""
    person = "\n".join(f"- {fact.text}" for fact in facts if fact.entity_kind is EntityKind.CONSUMER)
    product = "\n".join(f"- {fact.text}" for fact in facts if fact.entity_kind is EntityKind.PRODUCT)
    asked = f"Why would this person {POLARITY[stance]} it?"
    return f"The person:\n{person or '- nothing is known'}\nThe product, {title}:\n{product}\n{asked}"


def pair_opening(stance: Stance) -> str:
    """The clause that the published method prescribes."""
    return f"This person would {POLARITY[stance]} it because"


def opening(fact: Fact, wording: Wording) -> str:
    """The prescribed start of a fact's sentence; it fixes the subject and the stance."""
    if fact.entity_kind is EntityKind.CONSUMER:
        return _consumer_opening(fact, wording)
    return _product_opening(fact, wording)


def _consumer_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if match := _REVIEW.match(fact.text):
        judged = "praised" if liked else "were not content with"
        return f"You {judged} {match['title']} and wrote: {_start(_quoted(fact))}"
    if fact.source == "title" and (match := _RATED.match(fact.text)):
        mild = float(match["stars"]) >= MILD * float(match["top"])
        distance = "were a little less taken with" if mild else "did not take to"
        took = "liked" if liked else distance
        return f"You {took} {match['title']} and rated it {match['stars']} of {match['top']},"
    return f"You {'enjoy' if liked else 'are less taken with'} {wording.phrase(fact.aspect)}"


def _product_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if match := _MEAN.match(fact.text):
        return f"With {match['mean']} on average from {match['who']}, it is rated"
    if match := _COUNT.match(fact.text):
        return f"It {'pleased' if liked else 'let down'} {match['count']},"
    if match := _TASTE.match(fact.text):
        who = f"those who enjoy {wording.phrase(fact.aspect)}: {match['count']} of them"
        return f"It appeals {'to' if liked else 'less to'} {who}"
    if fact.source == "description":
        return _description_opening(_quoted(fact))
    if fact.source == "review":
        return f"{_reviewer(fact)} {_start(_quoted(fact))}"
    return f"It is among {wording.phrase(fact.aspect)}"


def _description_opening(sentence: str) -> str:
    """The start that lets a description's first sentence run on as it stands."""
    if match := _IS.match(sentence):
        return f"It is {match['article']}"
    if sentence.startswith("In ") and ", " in sentence[:60]:
        return f"In it, {_start(sentence.split(', ', 1)[1])}"
    return f"Its description says: {_start(sentence)}"


def _start(sentence: str) -> str:
    """A quotation's first words: with them in place the model copies on; without, it makes things up."""
    return " ".join(sentence.split()[:QUOTED_WORDS])


def _reviewer(fact: Fact) -> str:
    return fact.text.split(' "')[0].replace("a consumer", "A consumer", 1)


def _quoted(fact: Fact) -> str:
    match = _QUOTE.search(fact.text)
    return match["quote"] if match else ""


def template(fact: Fact, wording: Wording) -> str:
    """A readable sentence for a fact, made by code."""
    start = opening(fact, wording)
    if fact.source == "description":
        return f"It is described as “{_quoted(fact)}”."
    if fact.source == "review":
        return f"{start.removesuffix(_start(_quoted(fact)))}“{_quoted(fact)}”."
    if fact.source == "attribute":
        return f"{start}."
    if fact.entity_kind is EntityKind.CONSUMER and fact.source == "ratings":
        return _aspect_sentence(start, fact.text)
    marks = {"title": r", (above|below)", "affinity": r" rated it", "mean": r", (above|below)"}
    mark = marks.get(fact.source) or marks.get(fact.aspect) or r" rated it"
    match = re.search(mark, fact.text)
    rest = fact.text[match.start() :].lstrip(", ") if match else fact.text
    joint = " who " if start.endswith(("consumers,", "consumer,")) else " "
    return f"{start}{joint}{rest}.".replace("their usual", "your usual")


def _aspect_sentence(start: str, text: str) -> str:
    """'You enjoy war movies such as Patton, and rated 2 of them 5.0 of 5 on average.'"""
    rated, _, examples = text.partition("; among them ")
    count, mean = rated.split()[1], re.search(r"[\d.]+ of [\d.]+ on average", rated)
    such = f" such as {examples}" if examples else ""
    return f"{start}{such}, and rated {count} of them {mean[0] if mean else ''}."
