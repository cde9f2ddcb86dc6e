"""A tuned model at work: decisions by one forward pass each, and greedy texts. Nothing here learns.

Runs on the embedded model's own forward pass (`models/llm/network.py`) with the adapter merged: a beginning that
prompts share is read once, and only the tokens that are asked about are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.llm.network import Network, Shape
from models.lora.labels import Decisions, Labels, Prompt, by_shared, decisions

READ_TOKENS = 2048
"""Tokens of prompts read at a time, unless one has more."""


class LabelScorer:
    """Scores Yes against No after prompts.

    Args:
        shape: of the network.
        weights: by their names in transformers, changes merged.
        labels: how answers begin; the lead is read after every prompt.
        dtype: what is computed in.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor], labels: Labels, dtype: torch.dtype) -> None:
        choices = torch.tensor([labels.yes, labels.no])
        self._network, self._lead = Network(shape, weights, torch.device("cpu"), dtype, choices), labels.lead
        self.n_tokens = 0
        """Read so far; what is shared counts once."""

    def score(self, prompts: Sequence[Prompt]) -> Decisions:
        """The decision after each prompt, in order. A row's beginning has at least one token."""
        logits = torch.zeros(len(prompts), 2)
        for shared, rows in by_shared(prompts).items():
            prefix = self._network.prefix(shared)
            self.n_tokens += len(shared)
            ids = {row: [*prompts[row].own, *self._lead] for row in rows}
            for chunk in _chunks(sorted(rows, key=lambda row: len(ids[row])), ids):
                memory = self._network.memory()
                memory.reserve(len(chunk), max(len(ids[row]) for row in chunk))
                read = self._network.read([ids[row] for row in chunk], [0] * len(chunk), 0, memory, prefix)
                logits[chunk] = read.float()
                self.n_tokens += sum(len(ids[row]) for row in chunk)
        return decisions(logits.numpy())


class Writer:
    """Continues prompts greedily.

    Args:
        shape, weights, dtype: as for `LabelScorer`.
        end: the token that ends an answer.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor], dtype: torch.dtype, end: int) -> None:
        choices = torch.arange(weights["model.embed_tokens.weight"].shape[0])
        self._network, self._end = Network(shape, weights, torch.device("cpu"), dtype, choices), end

    def write(self, prompts: Sequence[Prompt], max_tokens: int) -> list[list[int]]:
        """New tokens after each prompt, up to the end's token (left out) or the limit.

        What all prompts begin with is read once, and rows go on together: a step reads all weights, however few the
        rows.
        """
        written: list[list[int]] = [[] for _ in prompts]
        if not prompts:
            return written
        texts = [prompt.tokens for prompt in prompts]
        n_same = min([_n_common(texts), *(len(text) - 1 for text in texts)])
        prefix = self._network.prefix(texts[0][:n_same])
        ids = {row: text[n_same:] for row, text in enumerate(texts)}
        for chunk in _chunks(sorted(ids, key=lambda row: len(ids[row])), ids):
            self._continue(chunk, ids, prefix, written, max_tokens)
        return written

    def _continue(
        self,
        chunk: Sequence[int],
        ids: Mapping[int, Sequence[int]],
        prefix: Tensor,
        written: list[list[int]],
        max_tokens: int,
    ) -> None:
        memory, starts = self._network.memory(), [0] * len(chunk)
        memory.reserve(len(chunk), max(len(ids[row]) for row in chunk) + max_tokens)
        feed, ended = [list(ids[row]) for row in chunk], [False] * len(chunk)
        for _ in range(max_tokens):
            chosen = self._network.read(feed, starts, 0, memory, prefix).argmax(1).tolist()
            starts = [start + len(fed) for start, fed in zip(starts, feed, strict=True)]
            for place, (row, token) in enumerate(zip(chunk, chosen, strict=True)):
                ended[place] = ended[place] or token == self._end
                if not ended[place]:
                    written[row].append(token)
            if all(ended):
                return
            feed = [[token] for token in chosen]


def _n_common(texts: Sequence[Sequence[int]]) -> int:
    """How many first tokens all texts share."""
    return next((n for n, column in enumerate(zip(*texts, strict=False)) if len(set(column)) > 1), min(map(len, texts)))


def _chunks(rows: Sequence[int], ids: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Rows in order of length, as many together as `READ_TOKENS` hold when padded to the longest."""
    chunks: list[list[int]] = []
    for row in rows:
        if chunks and (len(chunks[-1]) + 1) * len(ids[row]) <= READ_TOKENS:
            chunks[-1].append(row)
        else:
            chunks.append([row])
    return chunks
