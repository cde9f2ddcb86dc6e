"""Attributes a language model proposes: what it is shown, what is left out, and what a person gets to edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from features.errors import GenerationError, SettingError
from features.types import Catalog, Completion, TextRequest
from models.attributes.listed import Attribute, read_list
from models.attributes.proposed import (
    KIND,
    N_SHOWN,
    TRIES,
    Refusal,
    listed_text,
    proposal_request,
    propose,
    read_attribute,
)
from models.explanations.preferences import Ask
from models.llm.scripted import SCRIPTED, ScriptedEngine

HUMOUR = "Humour | how funny it is | a hilarious comedy full of jokes | a grave and sober film"
PACE = "pace | how fast things happen | one chase after another | a slow study of one face"


def catalog(n: int = 3) -> Catalog:
    ids = [f"p{place}" for place in range(n)]
    products = pd.DataFrame({"product_id": ids, "title": [f"Film {place}" for place in range(n)], "description": "d"})
    attributes = pd.DataFrame({"product_id": ids, "name": "genre", "value": "Comedy"})
    return Catalog(products, attributes)


REQUEST = proposal_request(catalog(), "movies", 2, SCRIPTED)


def scripted(answers: Sequence[Sequence[str]]) -> tuple[Ask, ScriptedEngine]:
    """Asks an engine that gives one answer after another."""
    coming = iter(answers)
    engine = ScriptedEngine(lambda _: next(coming))

    def ask(requests: Sequence[TextRequest]) -> Mapping[str, Completion]:
        return {it.request_key: it for it in engine.complete(requests)}

    return ask, engine


def test_a_sample_of_titles_and_values_is_shown_and_nothing_else_of_the_catalog() -> None:
    assert sorted(fact.text for fact in REQUEST.facts) == [f"Film {place} (Comedy)" for place in range(3)]
    assert "Name 2 attributes of such movies" in REQUEST.prompt
    many = [proposal_request(catalog(100), "movies", 2, SCRIPTED, attempt) for attempt in (0, 0, 1)]
    assert {len(it.facts) for it in many} == {N_SHOWN}
    assert many[0].key == many[1].key != many[2].key


def test_a_line_in_four_parts_is_an_attribute() -> None:
    assert read_attribute(HUMOUR, REQUEST, ()) == Attribute(
        name="humour",
        description="how funny it is",
        high="a hilarious comedy full of jokes",
        low="a grave and sober film",
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Humour: how funny it is", Refusal.FORM),
        ("Humour | how funny it is | | a grave film", Refusal.FORM),
        ("the humour of a film or series | how funny | a comedy | a drama", Refusal.LONG),
        (f"Humour | how {'very ' * 20}funny | a comedy | a drama", Refusal.LONG),
        ("Mood | how good | a fine film | films so fine", Refusal.ENDS),
        ("The pace | how it flows | quick as lightning | idle", Refusal.REPEATED),
        ("Speed | how fast things happen | quick as lightning | idle", Refusal.REPEATED),
        ("Comedy | how funny it is | a hilarious film | a grave film", Refusal.NAMED),
        ("Film 1 | how like it | just so | another film", Refusal.NAMED),
        ("Gender | how male it is | for boys | for girls", Refusal.PEOPLE),
        ("Contact | how near | write to me@example.org | far away", Refusal.UNSHOWABLE),
    ],
)
def test_what_is_no_attribute_is_left_out_with_a_reason(line: str, why: Refusal) -> None:
    kept = [Attribute(name="pace", description="how fast things happen", high="one chase after another", low="slow")]
    assert read_attribute(line, REQUEST, kept) is why


def test_several_tries_are_put_together_until_there_are_enough() -> None:
    ask, engine = scripted([[HUMOUR, "no attribute"], [HUMOUR, PACE]])
    proposal = propose(catalog(), "movies", 2, SCRIPTED, ask)
    assert [it.name for it in proposal.attributes] == ["humour", "pace"]
    assert proposal.refused == (("no attribute", Refusal.FORM), (HUMOUR, Refusal.REPEATED))
    assert [request.kind for request in engine.seen] == [KIND, KIND]


def test_a_model_that_proposes_nothing_usable_is_an_error_that_says_what_it_said() -> None:
    ask, engine = scripted([["I like films.", "You too?"]] * TRIES)
    with pytest.raises(GenerationError, match=r"(?s)proposed 0 usable.*I like films.*larger model"):
        propose(catalog(), "movies", 2, SCRIPTED, ask)
    assert len(engine.seen) == TRIES


def test_a_person_gets_a_file_that_a_recipe_may_name(tmp_path: Path) -> None:
    ask, _ = scripted([[HUMOUR, PACE]])
    proposal, file = propose(catalog(), "movies", 2, SCRIPTED, ask), tmp_path / "mine.toml"
    file.write_text(listed_text(proposal, "movies"), encoding="utf-8")
    assert read_list(str(file)) == proposal.attributes
    assert "Proposed by scripted for movies" in file.read_text()


@pytest.mark.parametrize("held", ["[[attribute]]\nname = 1", "no toml", "other = 1"])
def test_a_file_that_is_no_list_is_named_with_its_fault(tmp_path: Path, held: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(held)
    with pytest.raises(SettingError, match=r"mine\.toml is no list of attributes"):
        read_list(str(file))
