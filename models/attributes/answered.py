"""Attribute scores that a language model gives to the products of a fit, as it is or tuned by the fit's own events.

The model is told what the catalog says, title and description. Texts made from interactions are left out: they are as
old as their latest event, and a product has one score whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from features.errors import TrainingError
from features.prompt_texts import PromptTexts
from models.attributes.asked import Subject
from models.attributes.choices import Choices
from models.attributes.evidence import Floats
from models.attributes.expected import ExpectedScores
from models.attributes.listed import Attribute
from models.attributes.tuned import ScoreTuningConfig, tune_scores
from models.attributes.written import ListForm
from models.backbones.histories import Histories
from models.backbones.sequences.network import SequenceNetwork
from models.base import RunContext, TextGround
from models.lora.student import Student

ScoreSource = Literal["facts", "language_model", "tuned"]


def answered_scores(product_ids: Sequence[str], attributes: Sequence[Attribute], run: RunContext) -> Floats:
    """(P, m) expected scores by the run's language model. Raises TrainingError if the run has none."""
    ground = _ground(run)
    subjects = [Subject(it, _text(it, ground.texts)) for it in product_ids]
    return ExpectedScores(ground.base()).score(subjects, attributes, run.progress)


def tuned_scores(
    product_ids: Sequence[str],
    attributes: Sequence[Attribute],
    histories: Histories,
    base: SequenceNetwork,
    length: int,
    config: ScoreTuningConfig,
    run: RunContext,
) -> Floats:
    """(P, m) scores by the run's language model after tuning.

    Args:
        product_ids: in the order of their numbers in the histories.
        attributes: the domain's.
        histories: training events.
        base: the trained base model, on the CPU.
        length: events that it reads.
        config: how the language model is tuned.
        run: with its ground.

    Raises:
        TrainingError: the run has no language model, or the loss is not finite.
    """
    ground, numbers = _ground(run), answered_scores(product_ids, attributes, run)
    form = ListForm(Student(ground.base(), config.lora, run.seed), attributes, config.max_text)
    texts, choices = [_text(it, ground.texts) for it in product_ids], Choices.of(histories, length, base)
    return tune_scores(form, texts, numbers, choices, config, run.seed, ground.state, run.progress).tuned


def _ground(run: RunContext) -> TextGround:
    if run.ground is None:
        raise TrainingError(
            "A language model was to score the products, but no texts were given.", remedy='Set scores to "facts".'
        )
    return run.ground


def _text(product_id: str, texts: PromptTexts) -> str:
    told = (texts.titles.get(product_id, ""), texts.descriptions.get(product_id, ""))
    return ". ".join(filter(None, told))
