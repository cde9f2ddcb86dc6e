"""Groundedness and contrast of published texts, by the gates: is each statement carried by the facts it cites?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from features.types import Explanation, Fact, Stance
from features.wording import Wording
from features.words import content
from models.explanations.compose import JOINTS
from models.explanations.fewshot import opening, template
from models.explanations.gates import Failure, failures
from models.explanations.leads import lead
from models.metrics.explanation import statements

UNSUPPORTED = frozenset(
    {
        Failure.CITATION,
        Failure.GROUNDED,
        Failure.RECOMBINED,
        Failure.NUMBER,
        Failure.TITLE,
        Failure.STANCE,
        Failure.ECHO,
        Failure.PERSONAL,
    }
)
"""Failures that concern what is said; a clause may be as short as it likes."""
SAME_CONTENT = 0.5
"""From this share of common content words, two texts say the same."""


class Contrast(NamedTuple):
    """Whether the two sides of a pair make an argument."""

    differ: bool
    """They cite different facts and share less than half of their content words."""
    agree: bool
    """Each rests on a fact of its own side (a neutral one may speak for)."""
    grounded: bool
    """No statement of either goes beyond its facts."""


@dataclass(frozen=True)
class Evidence:
    """What published texts may rest on."""

    facts: Mapping[str, Fact]
    """By id; a citation of an unknown one supports nothing."""
    titles: Mapping[str, str]
    """How products are called, by id; a text may name its own."""
    wording: Wording
    """The dataset's nouns, as the texts were made with."""


def supported(text: Explanation, evidence: Evidence) -> list[bool]:
    """For each statement of a text, whether the facts it cites carry it.

    The words in which code says a cited fact, in its prescribed openings and its template, count as carried.
    """
    cited = [evidence.facts[fact_id] for fact_id in text.fact_ids if fact_id in evidence.facts]
    by_code = [
        said
        for fact in cited
        for said in (opening(fact, evidence.wording), template(fact, evidence.wording), lead(fact, text.stance))
    ]
    said = "\n".join([evidence.titles.get(text.product_id, ""), JOINTS, *by_code])
    return [
        not UNSUPPORTED & set(failures(statement, text.stance, text.fact_ids, cited, context=said))
        for statement in statements(text.text)
    ]


def contrast(pro: Explanation, con: Explanation, evidence: Evidence) -> Contrast:
    """How the two sides of one pair stand to each other; both must say something."""
    named = content(evidence.titles.get(pro.product_id, ""))
    mine, theirs = (content(text.text) - named for text in (pro, con))
    common = len(mine & theirs) / max(len(mine | theirs), 1)
    return Contrast(
        differ=set(pro.fact_ids) != set(con.fact_ids) and common < SAME_CONTENT,
        agree=all(_takes_its_side(text, evidence.facts) for text in (pro, con)),
        grounded=all(all(supported(text, evidence)) for text in (pro, con)),
    )


def _takes_its_side(text: Explanation, facts: Mapping[str, Fact]) -> bool:
    wanted = {1, 0} if text.stance is Stance.FOR else {-1}
    return any(facts[fact_id].polarity in wanted for fact_id in text.fact_ids if fact_id in facts)
