"""A tuned model is asked shortly and opens in many ways; it learns only what would be published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import InputError
from features.evidence import EvidenceWindow
from features.facts import consumer_facts, product_facts
from features.readers.world import WorldConfig, generate_world
from features.types import Fact, ModelIdentity, Snapshot
from features.wording import Wording
from models.explanations.facets import facet_requests
from models.explanations.gates import failures
from models.explanations.leads import LEADS, lead, leads_of
from models.explanations.statements import Kind, Statement, take_apart
from models.explanations.styles import FEW_SHOT, TUNED, own_side, style_of
from models.explanations.tuning_data import examples
from models.explanations.tuning_domains import DOMAINS
from models.explanations.tuning_targets import continuations
from models.metrics.explanation import has_common_opening

TUNED_MODEL, UNTUNED_MODEL = ModelIdentity("tiny", "0a1b+9f8e"), ModelIdentity("tiny", "0a1b")


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    """Facts of the built-in world, which no model is tuned on."""
    data = generate_world(WorldConfig(n_consumers=60, n_products=40, n_interactions=900)).dataset
    last = data.interactions.frame["timestamp"].max().to_pydatetime()
    snapshot, window = Snapshot(data.interactions, data.catalog, data.scale, last), EvidenceWindow()
    wording = Wording(many="headphones")
    return [*consumer_facts(snapshot, window, wording), *product_facts(snapshot, window, wording)]


def test_every_fact_is_of_a_known_kind(facts: list[Fact]) -> None:
    assert {take_apart(fact).kind for fact in facts} >= set(Kind)


def test_a_text_that_no_fact_maker_writes_is_an_error(facts: list[Fact]) -> None:
    with pytest.raises(InputError, match="no known kind"):
        take_apart(replace(facts[0], text="likes zebras"))


def test_the_style_follows_from_the_models_identity(facts: list[Fact]) -> None:
    assert (style_of(TUNED_MODEL), style_of(UNTUNED_MODEL)) == (TUNED, FEW_SHOT)
    tuned, untuned = (facet_requests(facts[:9], model)[0] for model in (TUNED_MODEL, UNTUNED_MODEL))
    assert len(tuned.system) < 0.1 * len(untuned.system)
    assert [slot.stance for slot in tuned.slots] == [slot.stance for slot in untuned.slots]


def test_leads_open_in_many_ways_but_the_same_fact_always_in_one(facts: list[Fact]) -> None:
    openings = [lead(fact, own_side(fact)) for fact in facts]
    assert openings == [lead(fact, own_side(fact)) for fact in facts]
    assert has_common_opening(openings).mean() < 0.3


@pytest.mark.parametrize("kind", list(Kind))
def test_every_lead_can_be_gone_on_with_in_words_that_pass_the_gates(kind: Kind, facts: list[Fact]) -> None:
    of_kind = [fact for fact in facts if take_apart(fact).kind is kind][:20]
    for fact in of_kind:
        statement: Statement = take_apart(fact)
        for template in leads_of(statement, own_side(fact)):
            opening = statement.fill(template)
            made = continuations(statement, opening)
            assert made
            assert any(
                not failures(f"{opening} {text}", own_side(fact), [fact.fact_id], [fact], opening) for text in made
            )


def test_a_word_must_follow_a_lead() -> None:
    every = [text for sides in LEADS.values() for texts in sides.values() for text in texts]
    assert all(text == text.strip() for text in every)
    assert not any(text.endswith((".", '"', "“")) for text in every)


def test_examples_are_reproducible_would_be_published_and_keep_domains_apart() -> None:
    learned, unseen = examples(24, seed=1), examples(8, seed=1, held_out=True)
    assert learned == examples(24, seed=1)
    assert learned != examples(24, seed=2)
    assert not {e.domain for e in learned} & {e.domain for e in unseen}
    assert all(domain.many != "headphones" for domain in DOMAINS)
    for e in learned:
        text, fact = f"{e.opening} {e.answer}", e.fact
        assert failures(text, own_side(fact), [fact.fact_id], [fact], e.opening) == []


def test_an_example_is_what_the_tuned_model_will_be_asked() -> None:
    (example,) = examples(1, seed=3)
    (slot,) = facet_requests([example.fact], TUNED_MODEL)[0].slots
    assert example.prompt == slot.about
    assert slot.opening in {
        take_apart(example.fact).fill(text) for text in leads_of(take_apart(example.fact), slot.stance)
    }


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_adapter(tmp_path: Path) -> None:
    from models.llm.gguf import converted
    from models.tuning import TuningConfig, tune

    base = converted(tmp_path / "models")
    config = TuningConfig(n_examples=12, n_valid=2, batch_size=4, save_every=1, rank=2, modules=("q_proj",))

    def stop_at_two(_: str, done: int, total: int) -> None:
        if done == 2 and total == 3:
            raise KeyboardInterrupt

    whole = tune(base, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        tune(base, tmp_path / "parts", config, stop_at_two)
    resumed = tune(base, tmp_path / "parts", config)
    assert (resumed.steps, resumed.tokens, resumed.loss) == (whole.steps, whole.tokens, whole.loss)
    name = "adapter_model.safetensors"
    assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
