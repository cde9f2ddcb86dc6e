"""Tunes the embedded model to word facts: a low-rank adapter trained on the facts of invented worlds.

The loss is on the answer alone; prompt and lead are given. Training goes on where it stopped
(`models/lora/training.py`). The result is a folder in peft's format with a card.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from random import Random

from models.base import Progress, silent
from models.explanations.facets import FacetConfig, by_entity, facet_requests, parse_facets
from models.explanations.gates import TEMPLATE
from models.explanations.styles import TUNED_SYSTEM
from models.explanations.tuning_data import Example, examples
from models.explanations.tuning_domains import DOMAINS
from models.explanations.tuning_worlds import world_facts
from models.llm.client import TextEngine
from models.llm.weights import MODEL_NAME
from models.lora.low_rank import LoraConfig
from models.lora.making import TuningReport, make_adapter
from models.lora.rows import Row
from models.lora.student import Student

N_TRIED = 120
"""Texts about unseen domains that are written to see how many pass the gates."""
CARD = """\
# A low-rank adapter of {model} that words facts

Made by `counterpoint tune-explainer`; the same command with the settings below makes it again (up to the rounding of
the processor's bf16). Without it the model is shown examples instead; nothing else depends on it.

- **Task**: one sourced fact about a consumer or a product, a side and the sentence's first words in; the rest of the
  sentence out, in the fact's own words and numbers.
- **Data**: facts of invented worlds, made by the same code as real ones, and sentence families, all of which pass the
  gates (`models/explanations/tuning_*.py`). No real catalog, review or person is in it. Domains: {trained}.
  Hash of the examples: {examples}.
- **Never trained on**: {held_out}; headphones (the built-in world); every real catalog.
- **Training**: {steps} steps, {tokens} tokens, last loss {loss} per answer token; on the unseen domains {valid_loss},
  before training {untuned_loss}.
- **Texts about unseen domains that pass the gates at the first try**: {pass_rate:.1%}.
- **Limits**: it words what it is given and knows nothing else; English only; quotations are copied, not shortened.

```json
{settings}
```
"""


class TuningConfig(LoraConfig):
    """What is tuned, on how much, and how fast."""

    seed: int = 0
    n_examples: int = 1200
    n_valid: int = 64
    """Examples of held-out domains whose loss is reported."""
    dropout: float = 0.0
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


def tune(base: Path, out: Path, config: TuningConfig | None = None, progress: Progress = silent) -> TuningReport:
    """Trains an adapter, or finishes one that was begun with the same settings.

    Args:
        base: folder with the converted weights.
        out: where the adapter goes; its half-done state lies beside it, in `<out>.part`.
        config: what to train.
        progress: called with ("tuning", steps done, steps).
    """
    config = config or TuningConfig()
    student = Student(base, config, config.seed)
    rows = [_row(student, example) for example in examples(config.n_examples, config.seed)]
    valid = [_row(student, example) for example in examples(config.n_valid, config.seed, held_out=True)]
    return make_adapter(student, rows, valid, out, config.seed, progress)


def _row(student: Student, example: Example) -> Row:
    head = student.encode_chat(student.chat(TUNED_SYSTEM, example.prompt)) + student.encode(example.opening)
    answer = [*student.encode(f" {example.answer}"), student.end]
    return Row(head + answer, len(answer))


def unseen_pass_rate(engine: TextEngine, seed: int, n: int = N_TRIED) -> float:
    """Share of the texts about domains never trained on that pass the gates at the first try."""
    passed = tried = 0
    domains = [domain for domain in DOMAINS if domain.held_out]
    for domain in domains:
        groups = list(by_entity(world_facts(domain, seed)).values())
        chosen = Random(seed).sample(groups, min(len(groups), n // (2 * len(domains))))
        facts, config = (
            [fact for group in chosen for fact in group],
            FacetConfig(n_per_stance=1, wording=domain.wording),
        )
        answers = engine.complete(facet_requests(facts, engine.identity, config))
        parsed = parse_facets(facts, {answer.request_key: answer for answer in answers}, engine.identity, config)
        tried += len(parsed.facets)
        passed += sum(facet.model != TEMPLATE for facet in parsed.facets)
    return passed / max(1, tried)


def write_card(out: Path, config: TuningConfig, report: TuningReport, pass_rate: float) -> Path:
    """What an adapter was made of and what it reached, for people."""
    held_out = ", ".join(domain.many for domain in DOMAINS if domain.held_out)
    trained = ", ".join(domain.many for domain in DOMAINS if not domain.held_out)
    card = CARD.format(
        model=MODEL_NAME,
        trained=trained,
        held_out=held_out,
        pass_rate=pass_rate,
        settings=config.model_dump_json(indent=1),
        **asdict(report),
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    return out / "README.md"
