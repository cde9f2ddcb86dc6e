"""First words for a tuned model: short leads that fix subject and side, of which each fact gets its own.

A lead costs no decoding, carries all that is judgement, and is chosen by the hash of what is worded: so texts
open in many ways, the same fact always in the same one, and a changed fact changes no other's request.
A lead ends where a word must follow: the model goes on with the fact's own words.
"""

from __future__ import annotations

import hashlib

from features.types import Fact, Stance
from models.explanations.statements import Kind, Statement, take_apart

Sides = dict[Stance, tuple[str, ...]]

LEADS: dict[Kind, Sides] = {
    Kind.TASTE: {
        Stance.FOR: (
            "You enjoy {phrase}",
            "You have a taste for {phrase}",
            "You are drawn to {phrase}",
            "You get on well with {phrase}",
            "You rate {phrase} higher than others:",
            "{Phrase} suit you:",
            "{Phrase} are to your liking:",
            "{Phrase} please you more than most:",
            "More to your taste than most are {phrase}:",
            "Of the {n} {phrase} you rated,",
            "At {mean} {top} on average,",
            "When it comes to {phrase},",
        ),
        Stance.AGAINST: (
            "You are less taken with {phrase}",
            "You care less for {phrase}",
            "You are harder to please with {phrase}",
            "You rate {phrase} lower than others:",
            "{Phrase} are less to your liking:",
            "{Phrase} please you less:",
            "{Phrase} tend to leave you cool:",
            "Less to your taste are {phrase}:",
            "Of the {n} {phrase} you rated,",
            "At {mean} {top} on average,",
            "When it comes to {phrase},",
        ),
    },
    Kind.TITLE: {
        Stance.FOR: (
            "You liked {title} better than most",
            "You thought better of {title} than of most",
            "You were more taken with {title}",
            "{title} was more to your taste than most:",
            "{title} pleased you more than most:",
            "{title} stood out for you:",
            "More to your liking than most was {title}:",
            "Rated above your usual {usual}, {title} got",
            "With {stars} {top} from you, {title}",
        ),
        Stance.AGAINST: (
            "You were less taken with {title}",
            "You cared less for {title}",
            "You thought less of {title}",
            "{title} was less to your taste:",
            "{title} pleased you less:",
            "{title} fell short of your usual:",
            "Less to your liking was {title}:",
            "Rated below your usual {usual}, {title} got",
            "With only {stars} {top} from you, {title}",
        ),
    },
    Kind.WROTE: {
        Stance.FOR: (
            "You praised {title}:",
            "You liked {title} and wrote:",
            "You rated {title} {stars} and wrote:",
            "Of {title} you wrote:",
            "In praise of {title} you wrote:",
            "About {title} you said:",
            "Your words on {title}:",
            "{title} won you over:",
            "{title}, in your words:",
            "What you liked about {title}:",
        ),
        Stance.AGAINST: (
            "You faulted {title}:",
            "You were not content with {title}:",
            "You rated {title} {stars} and wrote:",
            "Less content with {title}, you wrote:",
            "Of {title} you complained:",
            "About {title} you said:",
            "Your words on {title}:",
            "{title} did not win you over:",
            "{title} fell short for you:",
            "What you held against {title}:",
        ),
    },
    Kind.MEAN: {
        Stance.FOR: (
            "With {mean} {top} on average from {who},",
            "It is rated above the catalog's {usual}:",
            "It does better than the catalog's {usual}:",
            "Its ratings speak for it:",
            "Its average of {mean} {top} from {who}",
            "Rated by {who},",
            "On average,",
            "{Who} rated it",
            "Above the catalog's {usual},",
        ),
        Stance.AGAINST: (
            "With {mean} {top} on average from {who},",
            "It is rated below the catalog's {usual}:",
            "It falls short of the catalog's {usual}:",
            "Its ratings speak against it:",
            "Its average of {mean} {top} from {who}",
            "Rated by {who},",
            "On average,",
            "{Who} rated it",
            "Below the catalog's {usual},",
        ),
    },
    Kind.COUNT: {
        Stance.FOR: (
            "It pleased {part} of {who},",
            "It won over {part} of {who}:",
            "Some were pleased:",
            "Of {who},",
            "{part} of {who}",
            "Some consumers liked it:",
            "There is praise for it:",
        ),
        Stance.AGAINST: (
            "It let down {part} of {who},",
            "It fell short for {part} of {who}:",
            "Not all were pleased:",
            "Of {who},",
            "{part} of {who}",
            "Some consumers were let down:",
            "There are complaints about it:",
        ),
    },
    Kind.AFFINITY: {
        Stance.FOR: (
            "It appeals to those who enjoy {phrase}:",
            "Those who enjoy {phrase} like it more:",
            "The {n} consumers who enjoy {phrase}",
            "For those who enjoy {phrase},",
            "Consumers who enjoy {phrase} rate it higher:",
            "Among those who enjoy {phrase},",
            "If you enjoy {phrase}, it may suit you:",
        ),
        Stance.AGAINST: (
            "It appeals less to those who enjoy {phrase}:",
            "Those who enjoy {phrase} like it less:",
            "The {n} consumers who enjoy {phrase}",
            "For those who enjoy {phrase},",
            "Consumers who enjoy {phrase} rate it lower:",
            "Among those who enjoy {phrase},",
            "If you enjoy {phrase}, it may not suit you:",
        ),
    },
    Kind.REVIEW: {
        Stance.FOR: (
            "A consumer who rated it {stars} wrote:",
            "One consumer praised it:",
            "One of its reviews says:",
            "Rating it {stars}, a consumer wrote:",
            "In the words of one consumer:",
            "Someone who rated it {stars} wrote:",
            "Praise came from a consumer:",
            "What a consumer liked about it:",
            "There is praise for it:",
        ),
        Stance.AGAINST: (
            "A consumer who rated it {stars} wrote:",
            "One consumer faulted it:",
            "One of its reviews says:",
            "Rating it {stars}, a consumer wrote:",
            "In the words of one consumer:",
            "Someone who rated it {stars} wrote:",
            "A complaint came from a consumer:",
            "What a consumer held against it:",
            "There are complaints about it:",
        ),
    },
    Kind.DESCRIPTION: {
        Stance.FOR: (
            "Its description says:",
            "It is described like this:",
            "In its own words:",
            "What it is:",
            "In short:",
            "From its description:",
            "As its description puts it:",
            "What to expect:",
        ),
        Stance.AGAINST: (
            "Its own description is no praise:",
            "Even its description finds fault:",
            "Its description holds little back:",
        ),
    },
    Kind.ATTRIBUTE: {
        Stance.FOR: ("What is known of it:", "From the catalog:", "To begin with,"),
    },
}


def lead(fact: Fact, stance: Stance) -> str:
    """The first words of a fact's sentence."""
    statement = take_apart(fact)
    choices = leads_of(statement, stance)
    digest = hashlib.sha256(fact.text.encode()).digest()
    return statement.fill(choices[int.from_bytes(digest[:4], "big") % len(choices)])


def leads_of(statement: Statement, stance: Stance) -> tuple[str, ...]:
    """All leads of a kind and side; a fact of the other side is worded like its own (a pan, a faint praise)."""
    sides = LEADS[statement.kind]
    return sides.get(stance) or next(iter(sides.values()))
