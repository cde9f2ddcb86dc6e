"""Tunes the embedded model to word facts: a low-rank adapter trained on the facts of invented worlds.

The loss is on the answer alone; prompt and lead are given. Training goes on where it stopped: every few steps the
adapter and the optimizer's state are written, as safetensors. The result is a folder in peft's format with a card.
Low-rank adaptation: Hu et al. 2022, arXiv:2106.09685.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional

from features.errors import GenerationError
from features.types import content_hash
from models.base import Progress, silent
from models.explanations.facets import FacetConfig, by_entity, facet_requests, parse_facets
from models.explanations.gates import TEMPLATE
from models.explanations.styles import TUNED_SYSTEM
from models.explanations.tuning_data import Example, examples
from models.explanations.tuning_domains import DOMAINS
from models.explanations.tuning_worlds import world_facts
from models.llm.client import TextEngine
from models.llm.network import best_dtype
from models.llm.weights import MODEL_NAME

STATE = "training.safetensors"
_IGNORED = -100
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


class TuningConfig(BaseModel):
    """What is tuned, on how much, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    n_examples: int = 1200
    n_valid: int = 64
    """Examples of held-out domains whose loss is reported."""
    rank: int = 8
    alpha: int = 16
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    batch_size: int = 8
    rate: float = 1e-3
    warmup: float = 0.05
    """Share of the steps over which the rate rises; then it falls along a cosine."""
    save_every: int = 10


@dataclass(frozen=True)
class TuningReport:
    """What training took and reached."""

    steps: int
    tokens: int
    """Trained on in all, over resumed runs too."""
    seconds: float
    """Of this run."""
    loss: float
    """On the last tenth of the steps."""
    valid_loss: float
    """On domains never trained on."""
    untuned_loss: float
    """The same before any training."""
    examples: str
    """Hash of all that was learned from."""


def tune(base: Path, out: Path, config: TuningConfig | None = None, progress: Progress = silent) -> TuningReport:
    """Trains an adapter, or finishes one that was begun with the same settings.

    Args:
        base: folder with the converted weights.
        out: where the adapter goes; its half-done state lies beside it, in `<out>.part`.
        config: what to train.
        progress: called with ("tuning", steps done, steps).

    Raises:
        GenerationError: peft is missing.
    """
    trainer = _Trainer(base, out.with_name(out.name + ".part"), config or TuningConfig())
    report = trainer.run(progress)
    trainer.publish(out)
    return report


@dataclass(frozen=True)
class _Row:
    """Tokens of one example; the last `n_answer` are learned."""

    tokens: list[int]
    n_answer: int


class _Trainer:
    def __init__(self, base: Path, part: Path, config: TuningConfig) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.part, self.config = part, config
        torch.manual_seed(config.seed)
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        network: Any = AutoModelForCausalLM.from_pretrained(base, dtype=best_dtype("cpu"))
        self.network: Any = _with_adapter(network, config)
        self.trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(self.trained.values(), lr=config.rate, weight_decay=0.0)
        self.rows = [self._row(example) for example in examples(config.n_examples, config.seed)]
        self.valid = [self._row(example) for example in examples(config.n_valid, config.seed, held_out=True)]
        self.batches = _batches(self.rows, config)
        self.done, self.tokens, self.losses, self.untuned = 0, 0, list[float](), 0.0

    def run(self, progress: Progress) -> TuningReport:
        """All steps that are left."""
        started = time.perf_counter()
        self._resume()
        if not self.done:
            self.untuned = self.valid_loss()
        while self.done < len(self.batches):
            progress("tuning", self.done, len(self.batches))
            self._step(self.batches[self.done])
            if self.done % self.config.save_every == 0:
                self._save()
        progress("tuning", self.done, len(self.batches))
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return TuningReport(
            steps=self.done,
            tokens=self.tokens,
            seconds=round(time.perf_counter() - started, 1),
            loss=round(sum(last) / len(last), 4),
            valid_loss=round(self.valid_loss(), 4),
            untuned_loss=round(self.untuned, 4),
            examples=self.fingerprint,
        )

    def valid_loss(self) -> float:
        """Mean loss per answer token on the held-out domains."""
        self.network.eval()
        with torch.inference_mode():
            size = self.config.batch_size
            parts = [self._loss(self.valid[n : n + size]) for n in range(0, len(self.valid), size)]
        self.network.train()
        return sum(float(loss) * count for loss, count in parts) / sum(count for _, count in parts)

    def publish(self, out: Path) -> None:
        """Writes the adapter in peft's format, whole or not at all."""
        self.network.peft_config["default"].base_model_name_or_path = MODEL_NAME
        self.network.save_pretrained(self.part)
        _in_order(self.part / "adapter_config.json")
        out.mkdir(parents=True, exist_ok=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            os.replace(self.part / name, out / name)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that is learned from."""
        return content_hash([row.tokens for row in self.rows])[:12]

    def _row(self, example: Example) -> _Row:
        turns = [{"role": "system", "content": TUNED_SYSTEM}, {"role": "user", "content": example.prompt}]
        prompt = str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        head = self._encode(prompt) + self._encode(example.opening)
        answer = [*self._encode(f" {example.answer}"), int(self.tokenizer.eos_token_id)]
        return _Row(head + answer, len(answer))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _step(self, rows: Sequence[_Row]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * _schedule(self.done / len(self.batches), self.config.warmup)
        loss, _ = self._loss(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        self.tokens += sum(len(row.tokens) for row in rows)
        self.losses.append(float(loss.detach()))

    def _loss(self, rows: Sequence[_Row]) -> tuple[Tensor, int]:
        """Mean loss per answer token, and how many there are. The head, a fifth of the work, sees only answers."""
        longest = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), longest), int(self.tokenizer.eos_token_id))
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, _IGNORED)
        for n, row in enumerate(rows):
            ids[n, : len(row.tokens)] = torch.tensor(row.tokens)
            mask[n, : len(row.tokens)] = 1
            labels[n, len(row.tokens) - row.n_answer : len(row.tokens)] = torch.tensor(row.tokens[-row.n_answer :])
        base = self.network.get_base_model()
        hidden = base.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        learned = labels[:, 1:] != _IGNORED
        logits = base.lm_head(hidden[learned]).float()
        return functional.cross_entropy(logits, labels[:, 1:][learned]), int(learned.sum())

    def _save(self) -> None:
        """Writes adapter, optimizer and progress in one file, so that they always belong together."""
        from safetensors.torch import save_file

        tensors = {f"weight.{name}": p.detach() for name, p in self.trained.items()}
        for name, p in self.trained.items():
            state = self.optimizer.state[p]
            tensors |= {f"{part}.{name}": state[part].detach() for part in ("exp_avg", "exp_avg_sq", "step")}
        tensors["losses"] = torch.tensor(self.losses)
        notes = {"of": self._made_of(), "tokens": str(self.tokens), "untuned": str(self.untuned)}
        self.part.mkdir(parents=True, exist_ok=True)
        save_file(tensors, self.part / "half", metadata=notes)
        os.replace(self.part / "half", self.part / STATE)

    def _resume(self) -> None:
        """Takes up what was saved, if it was made with the same settings from the same examples."""
        from safetensors import safe_open

        if not (self.part / STATE).exists():
            return
        with safe_open(self.part / STATE, framework="pt") as file:
            notes = file.metadata()
            if notes["of"] != self._made_of():
                return
            for name, p in self.trained.items():
                p.data.copy_(file.get_tensor(f"weight.{name}"))
                parts = ("exp_avg", "exp_avg_sq", "step")
                self.optimizer.state[p] = {part: file.get_tensor(f"{part}.{name}") for part in parts}
            self.losses = file.get_tensor("losses").tolist()
        self.done, self.tokens, self.untuned = len(self.losses), int(notes["tokens"]), float(notes["untuned"])

    def _made_of(self) -> str:
        return content_hash(self.config.model_dump(), self.fingerprint)


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


def _with_adapter(network: Any, config: TuningConfig) -> Any:
    """The network with an untrained adapter that alone can learn."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise GenerationError(
            "The library peft is not installed, so the language model cannot be tuned.",
            remedy="Install it with `pip install counterpoint[tune]`; running a tuned model needs no peft.",
        ) from error
    settings = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=list(config.modules), task_type="CAUSAL_LM"
    )
    return get_peft_model(network, settings)


def _in_order(config: Path) -> None:
    """Writes a config's sets in order, so that equal trainings give equal files: their hash is the model's revision."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["target_modules"] = sorted(settings["target_modules"])
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _batches(rows: Sequence[_Row], config: TuningConfig) -> list[list[_Row]]:
    """Rows in batches of similar length, which saves padding, in random order."""
    rng, size = Random(config.seed), config.batch_size
    order = rng.sample(range(len(rows)), len(rows))
    pools = [order[n : n + 20 * size] for n in range(0, len(order), 20 * size)]
    ordered = [row for pool in pools for row in sorted(pool, key=lambda n: len(rows[n].tokens))]
    batches = [[rows[n] for n in ordered[start : start + size]] for start in range(0, len(ordered), size)]
    rng.shuffle(batches)
    return batches


def _schedule(done: float, warmup: float) -> float:
    """Factor of the learning rate after that share of the steps."""
    if done < warmup:
        return (done + 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
