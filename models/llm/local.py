"""The embedded language model: SmolLM2-135M-Instruct on torch, without a server and without a network.

The system text is the same for all requests of a kind, so it is read once and shared. Each row is decoded at its own
place: the moment an answer is complete it is handed out, and waiting requests take the free rows, so the batch stays
full until the queue is empty. Openings are forced and tokens constrained (`models/llm/decoding.py`).

Greedy answers may differ in wording between batches, since bf16 sums depend on the batch's shape; the ledger,
not the engine, is what makes a run repeatable.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from features.errors import GenerationError
from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest, claims_of
from models.llm.adapter import adapter_revision, merged
from models.llm.decoding import AnswerWriter, Ask
from models.llm.gguf import converted
from models.llm.network import Network, Shape, best_dtype
from models.llm.tokens import Tokens, best
from models.llm.weights import find_weights, weights_identity
from models.threads import free_cores, torch_threads

BATCH_SIZES = {"cpu": 128, "cuda": 256}
REFILL = 1 / 8
"""Free rows are given to waiting requests once they are this share of the batch: reading few costs as much as many."""
MEAN_ROOM = 256
"""Tokens a row may need on average beside the system text; with longer prompts fewer rows are decoded together."""
READ_TOKENS = 4096
"""Prompt tokens read at a time, unless a single prompt has more."""


class EmbeddedEngine:
    """Answers requests with the embedded model; loads it at the first request.

    Args:
        folder: where the converted weights are kept (270 MB, made once).
        batch_size: rows decoded together; None takes the device's usual number.
        threads: of torch on the CPU while decoding; None takes the cores that nobody else uses (`free_cores`).
        device: `cpu` or `cuda`.
        latin_only: forbids tokens other than printable ASCII and Latin letters.
        adapter: a folder with a LoRA adapter to merge, or None.
    """

    def __init__(
        self,
        folder: Path,
        batch_size: int | None = None,
        threads: int | None = None,
        device: str = "cpu",
        latin_only: bool = True,
        adapter: Path | None = None,
    ) -> None:
        self.folder, self.threads, self.device = folder, threads, device
        self.batch_size = batch_size or BATCH_SIZES[torch.device(device).type]
        self.latin_only, self.adapter = latin_only, adapter

    @cached_property
    def gguf(self) -> Path:
        """The package's weights. Raises GenerationError if they are not installed."""
        return find_weights()

    @cached_property
    def identity(self) -> ModelIdentity:
        """Which model answers: the weights' revision, followed by the adapter's if there is one."""
        base = weights_identity(self.gguf)
        if self.adapter is None:
            return base
        return ModelIdentity(base.name, f"{base.revision}+{adapter_revision(self.adapter)}")

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields answers as they are ready. Raises GenerationError if a request fits no context window."""
        answers = [_Answer.to(request, self._model) for request in requests]
        rows = [row for answer in answers for row in answer.rows]
        rows.sort(key=lambda row: (row.system, len(row.suffix)))
        with torch_threads(self.threads or free_cores()):
            for system, group in groupby(rows, key=lambda row: row.system):
                yield from self._decode(_Batch(self._model, system, self.batch_size, deque(group)))

    @cached_property
    def _model(self) -> _Model:
        return _Model(converted(self.folder), self.device, self.latin_only, self.adapter)

    def _decode(self, batch: _Batch) -> Iterator[Completion]:
        """Answers all requests of one system text; the time the receiver takes is not counted as the model's."""
        while batch.rows or batch.queue:
            clock = time.perf_counter()
            moved = batch.admit() or batch.step()
            spent = (time.perf_counter() - clock) / len(moved)
            for row in moved:
                row.seconds += spent
            for answer in dict.fromkeys(row.answer for row in batch.release_finished()):  # rows may end together
                if answer.complete:
                    yield answer.completion(self.identity)


@dataclass(eq=False)
class _Answer:
    """One request while it is answered, in one row, or in a row per slot where each slot says what it is about.

    A small model that sees several facts mixes them up; shown one at a time, it words each.
    """

    request: TextRequest
    rows: list[_Row]

    @classmethod
    def to(cls, request: TextRequest, model: _Model) -> _Answer:
        """Tokenizes a request. Raises GenerationError if it has no slot or is too long."""
        if not request.slots:
            raise GenerationError(f"The request about {request.subject!r} has no slot, so there is nothing to write.")
        answer = cls(request, [])
        alone = all(slot.about for slot in request.slots)
        for slots in [(slot,) for slot in request.slots] if alone else [request.slots]:
            answer.rows.append(_Row.of(answer, slots, model))
        return answer

    @property
    def complete(self) -> bool:
        """Whether all its rows are written."""
        return all(row.writer.finish is not None for row in self.rows)

    def completion(self, identity: ModelIdentity) -> Completion:
        """The answer, once it is complete.

        Of rows written independently, one that was cut short gives its opening alone; the answer is usable as long as
        one row is.
        """
        finished = [row for row in self.rows if row.writer.finish is FinishReason.STOP]
        lines = [
            line
            for row in self.rows
            for line in (row.writer.lines if row in finished or len(self.rows) == 1 else row.openings)
        ]
        return Completion(
            request_key=self.request.key,
            claims=claims_of(self.request.slots, lines),
            finish=FinishReason.STOP if finished else FinishReason.LENGTH,
            prompt_tokens=sum(row.n_prefix + len(row.suffix) - row.n_opening for row in self.rows),
            completion_tokens=sum(row.n_opening + row.n_tokens for row in self.rows),
            seconds=sum(row.seconds for row in self.rows),
            model=identity,
            note="; ".join(row.writer.note for row in self.rows if row.writer.note),
        )


@dataclass(eq=False)
class _Row:
    """Lines written in one go: all of a request, or one of them."""

    answer: _Answer
    suffix: list[int]
    openings: list[str]
    n_opening: int
    room: int
    """Tokens of its own that it may come to hold."""
    writer: AnswerWriter
    generator: torch.Generator | None
    fed: int = 0
    """The token to read next."""
    n_read: int = 0
    """Tokens of its own that were read."""
    n_tokens: int = 0
    n_prefix: int = 0
    seconds: float = 0.0

    @property
    def system(self) -> str:
        """The request's shared text."""
        return self.answer.request.system

    @classmethod
    def of(cls, answer: _Answer, slots: Sequence[Slot], model: _Model) -> _Row:
        """Tokenizes some slots of a request. Raises GenerationError if they are too long."""
        request, tokens = answer.request, model.tokens
        openings = [tokens.of(slot.opening.rstrip()) for slot in slots]
        prompt = "\n".join(filter(None, [request.prompt, *(slot.about for slot in slots)]))
        suffix = tokens.of_turn(prompt) + openings[0]
        room = len(suffix) + sum(slot.max_tokens for slot in slots)
        room += sum(len(tokens.separator) + len(opening) + 1 for opening in openings)
        if room > model.context // 2:
            raise GenerationError(
                f"The request about {request.subject!r} needs up to {room} tokens, {len(suffix)} of them to be read.",
                f"The embedded model takes {model.context // 2} in all beside the system text.",
                "Shorten the prompt's facts or use a server with a longer context.",
            )
        writer = AnswerWriter(slots, openings, tokens.separator, tokens.pieces.__getitem__, tokens.ends)
        generator = None
        if request.temperature > 0:  # by the key, so that a sample does not depend on its neighbours in the batch
            generator = torch.Generator().manual_seed(int(request.key[:15], 16) + len(answer.rows))
        words = [slot.opening.strip() for slot in slots]
        return cls(answer, suffix, words, len(openings[0]), room, writer, generator)

    def advance(self, chosen: int) -> None:
        """Takes the model's choice, or the forced token in its place, as the next to read."""
        self.n_tokens += 1
        if self.writer.ask is Ask.FORCED:
            self.fed = self.writer.take_forced()
            return
        self.fed = self.writer.take(chosen) or 0  # 0 is unread: the row is finished


class _Batch:
    """The rows being written for one system text, in neighbouring places of one memory, and those that wait."""

    def __init__(self, model: _Model, system: str, size: int, queue: deque[_Row]) -> None:
        self.model, self.size, self.queue = model, size, queue
        self.prefix, self.memory = model.prefix(system), model.network.memory()
        self.rows: list[_Row] = []

    def admit(self) -> list[_Row]:
        """Reads waiting prompts into free places, if that is worth a pass; returns the rows that came in."""
        if not self.queue or (self.rows and self.size - len(self.rows) < REFILL * self.size):
            return []
        first, new = len(self.rows), list[_Row]()
        while self.queue and self._fits(self.queue[0], new):
            new.append(self.queue.popleft())
        if new:
            rows = [*self.rows, *new]
            self.memory.reserve(len(rows), max(row.room for row in rows))
            self._read(new, [row.suffix for row in new], first)
            self.rows = rows
        return new

    def _fits(self, row: _Row, new: list[_Row]) -> bool:
        """Whether a waiting row can be read with these; rows wait in order of length, so it is the longest."""
        n, room = len(self.rows) + len(new), max(row.room, self.memory.room)
        small = n < self.size and (n + 1) * room <= self.size * MEAN_ROOM
        return not n or (small and (not new or (len(new) + 1) * len(row.suffix) <= READ_TOKENS))

    def step(self) -> list[_Row]:
        """Reads one token per row and takes the next; returns the rows."""
        self._read(self.rows, [[row.fed] for row in self.rows], 0)
        return list(self.rows)

    @torch.inference_mode()
    def _read(self, rows: Sequence[_Row], ids: Sequence[Sequence[int]], first: int) -> None:
        starts = [row.n_read for row in rows]
        scores = self.model.network.read(ids, starts, first, self.memory, self.prefix)
        for row, read, token in zip(rows, ids, self.model.choose(scores, rows), strict=True):
            row.n_read, row.n_prefix = row.n_read + len(read), self.prefix.shape[3]
            row.advance(token)

    def release_finished(self) -> list[_Row]:
        """Takes finished rows out; the last row moves to each free place."""
        finished = []
        for n in reversed(range(len(self.rows))):
            if self.rows[n].writer.finish is None:
                continue
            finished.append(self.rows[n])
            last = self.rows.pop()
            if n < len(self.rows):
                self.rows[n] = last
                self.memory.move(len(self.rows), n, last.n_read)
        return finished


class _Model:
    """The network, its tokenizer, and which tokens may stand where."""

    def __init__(self, folder: Path, device: str, latin_only: bool, adapter: Path | None) -> None:
        from safetensors.torch import load_file

        shape, weights = Shape.read(folder), load_file(folder / "model.safetensors")
        self.folder, self.tokens, self.context = folder, Tokens(folder, latin_only), shape.context
        where = torch.device(device)
        self.choices = torch.tensor(self.tokens.choices)
        self.network = Network(
            shape, merged(weights, adapter) if adapter else weights, where, best_dtype(device), self.choices
        )
        self._barred = {after: ~self.tokens.beginning(after).to(where) for after in (True, False)}
        self._prefix: tuple[str, Tensor] | None = None

    def prefix(self, system: str) -> Tensor:
        """The keys and values of a system text; the last one is kept, as requests come sorted by it."""
        if self._prefix is None or self._prefix[0] != system:
            ids = self.tokens.of_system(system)
            if len(ids) > self.context // 2:
                raise GenerationError(f"The system text has {len(ids)} tokens.", f"It may have {self.context // 2}.")
            self._prefix = system, self.network.prefix(ids)
        return self._prefix[1]

    def choose(self, scores: Tensor, rows: Sequence[_Row]) -> list[int]:
        """The next token of each row among the allowed ones; unread for rows that force theirs."""
        for n, row in enumerate(rows):
            if row.writer.ask is Ask.FIRST:
                opened = bool(row.writer.slots[len(row.writer.lines)].opening.strip())
                scores[n].masked_fill_(self._barred[opened], -torch.inf)
        chosen = best(scores).cpu()
        for n, row in enumerate(rows):
            if row.generator is not None and row.writer.ask is not Ask.FORCED:
                shares = torch.softmax(scores[n].float() / row.answer.request.temperature, 0).cpu()
                shares[self.tokens.n_choices :] = 0
                chosen[n] = torch.multinomial(shares, 1, generator=row.generator)
        tokens: list[int] = self.choices[chosen].tolist()
        return tokens
