"""A small language model with an adapter that can learn: its tokens, its loss, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.llm.network import LowRankChange, Shape, best_dtype
from models.llm.tokens import harmless
from models.lora.labels import Decisions, Labels, decisions
from models.lora.low_rank import LoraConfig, LowRank, attach, base_weights, merged_weights, write_adapter
from models.lora.rows import IGNORED, Aside, Row, Sight, padded, sight
from models.lora.scoring import LabelScorer, Writer
from models.lora.start import begin

KEPT_ROWS = 2048
"""Rows of which is kept what the frozen blocks below the changed ones make of them: about 1 kB a token."""


class Student:
    """A causal language model of the Llama family whose low-rank changes alone are trained.

    Args:
        base: folder with the network and its tokenizer, as `models/llm/weights.py` converts them.
        config: which weights are changed.
        seed: of new changes' first weights.
        dtype: what the frozen weights are held in; by default what the processor computes in.
    """

    def __init__(self, base: Path, config: LoraConfig, seed: int = 0, dtype: torch.dtype | None = None) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.dtype, self.config, self.shape = dtype or best_dtype("cpu"), config, Shape.read(base)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        self.network: Any = AutoModelForCausalLM.from_pretrained(base, dtype=self.dtype)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.changed: dict[str, LowRank] = begin(self.network, attach(self.network, config), config)
        self.started_from, self.identity = config.started_from, config.identity
        self._kept: dict[tuple[tuple[int, ...], tuple[Aside, ...]], Tensor] = {}
        self.trained: dict[str, nn.Parameter] = {
            name: parameter for name, parameter in self.network.named_parameters() if parameter.requires_grad
        }
        self._first = min((int(name.split(".")[2]) for name in self.trained), default=0)

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    @property
    def n_trained(self) -> int:
        """Weights that can learn."""
        return sum(parameter.numel() for parameter in self.trained.values())

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, none added; control tokens that are spelled in it become words."""
        return list(self.tokenizer.encode(harmless(text), add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return str(self.tokenizer.decode(list(tokens)))

    def chat(self, system: str, prompt: str) -> str:
        """A conversation up to where the answer begins, in the model's own form."""
        turns = [{"role": "system", "content": harmless(system)}, {"role": "user", "content": harmless(prompt)}]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def encode_chat(self, text: str) -> list[int]:
        """Tokens of what `chat` made, whose control tokens are real."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def loss(self, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Loss of the answers' tokens, and how many there are; prompts have no part in it."""
        return self.loss_of(rows, self.hidden(rows))

    def loss_of(self, rows: Sequence[Row], hidden: Tensor) -> tuple[Tensor, int]:
        """The same of rows whose `hidden` is known.

        Mean cross-entropy per token, or where rows have a decision, its token's by itself and that of the others,
        weighted by `decision_share`. The head, a fifth of the work, sees only what is learned.
        """
        batch = padded(rows)
        learned = batch.labels[:, 1:] != IGNORED
        logits = self.network.lm_head(hidden[:, : learned.shape[1]][learned]).float()
        each = functional.cross_entropy(logits, batch.labels[:, 1:][learned], reduction="none")
        decides = batch.decides[:, 1:][learned]
        if not decides.any() or decides.all():
            return each.mean(), len(each)
        share = self.config.decision_share
        return share * each[decides].mean() + (1 - share) * each[~decides].mean(), len(each)

    def logits(self, hidden: Tensor, tokens: Sequence[int]) -> Tensor:
        """(..., K) scores of some tokens to come next, in fp32: in bf16 they would fall on steps of a tenth."""
        return functional.linear(hidden.float(), self.network.lm_head.weight[list(tokens)].float())

    @torch.no_grad()
    def decide(self, rows: Sequence[Row], labels: Labels) -> Decisions:
        """The decision of each row at its decision's place, by the network as it is being trained, dropout aside."""
        self.network.eval()
        logits, head = torch.zeros(len(rows), 2), self.network.lm_head.weight[[labels.yes, labels.no]]
        for start in range(0, len(rows), self.config.batch_size):
            chunk = rows[start : start + self.config.batch_size]
            before = self.hidden(chunk)[range(len(chunk)), [row.decision - 1 for row in chunk]]
            logits[start : start + len(chunk)] = functional.linear(before, head).float()
        return decisions(logits.numpy())

    def hidden(self, rows: Sequence[Row]) -> Tensor:
        """What the head is given, (B, L, d): of rows' tokens, then of their asides, filled up to one length."""
        below = torch.nn.utils.rnn.pad_sequence([self._below(row) for row in rows], batch_first=True)
        return self._norm(self._through(below, sight(rows), self._first, None))

    def _below(self, row: Row) -> Tensor:
        """What the lowest block that learns is given of one row, (L, d): no training changes it, so it is made once."""
        key = (tuple(row.tokens), row.asides)
        if key not in self._kept:
            with torch.no_grad():
                read = self.network.model.embed_tokens(torch.tensor([row.read]))
                made = self._through(read, sight([row]), 0, self._first)[0]
            if len(self._kept) >= KEPT_ROWS or not self._first:
                return made
            self._kept[key] = made
        return self._kept[key]

    def _through(self, x: Tensor, seen: Sight, first: int, end: int | None) -> Tensor:
        """Some blocks, (B, L, d) to (B, L, d). Without a mask attention is causal."""
        model, places = self.network.model, seen.places
        turned = model.rotary_emb(x, position_ids=places)
        for block in model.layers[first:end]:
            x = block(x, attention_mask=seen.mask, position_ids=places, position_embeddings=turned)
        return x

    def _norm(self, x: Tensor) -> Tensor:
        normed: Tensor = self.network.model.norm(x)
        return normed

    def scorer(self, labels: Labels) -> LabelScorer:
        """Decides as the student does now, quicker: what prompts share is read once."""
        weights, changes = base_weights(self.network, self.changed), self._changes()
        return LabelScorer(self.shape, weights, labels, self.dtype, changes)

    def writer(self) -> Writer:
        """Writes as the student does now."""
        weights, changes = base_weights(self.network, self.changed), self._changes()
        return Writer(self.shape, weights, self.dtype, self.end, changes)

    def weights(self) -> dict[str, Tensor]:
        """All weights with the changes merged, by their names in transformers."""
        return merged_weights(self.network, self.changed)

    def _changes(self) -> dict[str, LowRankChange]:
        return {name: layer.change for name, layer in self.changed.items()}

    def write(self, folder: Path, model: str) -> None:
        """Writes the adapter in peft's format."""
        write_adapter(folder, self.changed, self.config, model)
