"""A small language model with an adapter that can learn: its tokens, its loss, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.llm.network import Shape, best_dtype
from models.llm.tokens import harmless
from models.lora.low_rank import LoraConfig, LowRank, attach, merged_weights, write_adapter
from models.lora.rows import IGNORED, Row, padded


class Student:
    """A causal language model of the Llama family whose low-rank changes alone are trained.

    Args:
        base: folder with the network and its tokenizer, as `models/llm/weights.py` converts them.
        config: which weights are changed.
        seed: of the changes' start.
        dtype: what the frozen weights are held in; by default what the processor computes in.
    """

    def __init__(self, base: Path, config: LoraConfig, seed: int = 0, dtype: torch.dtype | None = None) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.dtype, self.config, self.shape = dtype or best_dtype("cpu"), config, Shape.read(base)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        self.network: Any = AutoModelForCausalLM.from_pretrained(base, dtype=self.dtype)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.changed: dict[str, LowRank] = attach(self.network, config)
        self.trained: dict[str, nn.Parameter] = {
            name: parameter for name, parameter in self.network.named_parameters() if parameter.requires_grad
        }

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
        """Loss of the answers' tokens, and how many there are; prompts have no part in it.

        Mean cross-entropy per token, or where rows have a decision, its token's by itself and that of the others,
        weighted by `decision_share`. The head, a fifth of the work, sees only what is learned.
        """
        batch = padded(rows, self.end)
        hidden = self.network.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        learned = batch.labels[:, 1:] != IGNORED
        logits = self.network.lm_head(hidden[learned]).float()
        each = functional.cross_entropy(logits, batch.labels[:, 1:][learned], reduction="none")
        decides = batch.decides[:, 1:][learned]
        if not decides.any() or decides.all():
            return each.mean(), len(each)
        share = self.config.decision_share
        return share * each[decides].mean() + (1 - share) * each[~decides].mean(), len(each)

    def weights(self) -> dict[str, Tensor]:
        """All weights with the changes merged, by their names in transformers."""
        return merged_weights(self.network, self.changed)

    def write(self, folder: Path, model: str) -> None:
        """Writes the adapter in peft's format."""
        write_adapter(folder, self.changed, self.config, model)
