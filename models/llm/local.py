"""The embedded language model: SmolLM2-135M-Instruct on torch, without a server and without a network.

The system text is the same for all requests of a kind, so its keys and values are computed once and shared. The
decoding loop is our own instead of `generate`: it forces openings row by row (`models/llm/decoding.py`), hands
out an answer the moment it is complete, and drops finished rows from the batch.

Greedy answers may differ in wording between batches, since bf16 sums depend on the batch's shape; the ledger,
not the engine, is what makes a run repeatable.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.errors import GenerationError
from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest, claims_of
from models.llm.decoding import AnswerWriter, Ask, begins_sentence, readable
from models.llm.gguf import convert
from models.llm.weights import converted_folder, find_weights, weights_identity
from models.threads import free_cores, torch_threads

CONTEXT = 8192
"""Tokens the model was trained to see at once."""
KEEP = 0.75
"""Rows are dropped from the batch once no more than this share of them is unfinished."""


class EmbeddedEngine:
    """Answers requests with the embedded model; loads it at the first request.

    Args:
        folder: where the converted weights are kept (270 MB, made once).
        batch_size: rows decoded together.
        threads: of torch on the CPU while decoding; None takes the cores that nobody else uses (`free_cores`).
        device: `cpu` or `cuda`.
        latin_only: forbids tokens other than printable ASCII and Latin letters.
    """

    def __init__(
        self,
        folder: Path,
        batch_size: int = 32,
        threads: int | None = None,
        device: str = "cpu",
        latin_only: bool = True,
    ) -> None:
        self.folder, self.batch_size, self.threads = folder, batch_size, threads
        self.device, self.latin_only = device, latin_only

    @cached_property
    def gguf(self) -> Path:
        """The package's weights. Raises GenerationError if they are not installed."""
        return find_weights()

    @cached_property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        return weights_identity(self.gguf)

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields answers as they are ready. Raises GenerationError if a request fits no context window."""
        answers = [_Answer.to(request, self._model) for request in requests]
        rows = [row for answer in answers for row in answer.rows]
        rows.sort(key=lambda row: (row.system, len(row.suffix)))
        with torch_threads(self.threads or free_cores()):
            for system, group in groupby(rows, key=lambda row: row.system):
                alike = list(group)
                for start in range(0, len(alike), self.batch_size):
                    yield from self._decode(system, alike[start : start + self.batch_size])

    @cached_property
    def _model(self) -> _Model:
        weights = converted_folder(self.folder, self.identity, lambda half: _convert(self.gguf, half))
        return _Model(weights, self.device, self.latin_only)

    @torch.inference_mode()
    def _decode(self, system: str, rows: list[_Row]) -> Iterator[Completion]:
        """Decodes one batch, one token per row and step."""
        clock = time.perf_counter()
        batch = _Batch(self._model, system, rows)
        logits = batch.prefill()
        while batch.rows:
            tokens = self._model.choose(logits, batch.rows)
            for row, token in zip(batch.rows, tokens, strict=True):
                row.advance(token)
            clock, spent = time.perf_counter(), time.perf_counter() - clock
            for row in batch.rows:
                row.seconds += 0.0 if row.reported else spent / batch.n_active
            for row in batch.rows:
                if row.writer.finish is not None and not row.reported:
                    row.reported, row.n_prefix = True, batch.n_prefix
                    if row.answer.complete:
                        yield row.answer.completion(self.identity)
            batch.drop_finished()
            clock = time.perf_counter()  # what the receiver did meanwhile is not the model's time
            if batch.rows:
                logits = batch.step()


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
        """Whether all its rows are written and accounted for."""
        return all(row.reported for row in self.rows)

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
    writer: AnswerWriter
    generator: torch.Generator | None
    fed: int = 0
    n_tokens: int = 0
    n_prefix: int = 0
    seconds: float = 0.0
    reported: bool = False

    @property
    def system(self) -> str:
        """The request's shared text."""
        return self.answer.request.system

    @classmethod
    def of(cls, answer: _Answer, slots: Sequence[Slot], model: _Model) -> _Row:
        """Tokenizes some slots of a request. Raises GenerationError if they are too long."""
        request, openings = answer.request, [model.tokens(slot.opening.rstrip()) for slot in slots]
        prompt = "\n".join(filter(None, [request.prompt, *(slot.about for slot in slots)]))
        suffix = model.tokens_of_turn(prompt) + openings[0]
        room = sum(slot.max_tokens for slot in slots)
        room += sum(len(model.separator) + len(opening) + 1 for opening in openings)
        if len(suffix) + room > CONTEXT // 2:
            raise GenerationError(
                f"The request about {request.subject!r} has {len(suffix)} tokens and asks for up to {room}.",
                f"The embedded model takes {CONTEXT // 2} in all beside the system text.",
                "Shorten the prompt's facts or use a server with a longer context.",
            )
        writer = AnswerWriter(slots, openings, model.separator, model.pieces.__getitem__, model.ends)
        generator = None
        if request.temperature > 0:  # by the key, so that a sample does not depend on its neighbours in the batch
            generator = torch.Generator().manual_seed(int(request.key[:15], 16) + len(answer.rows))
        words = [slot.opening.strip() for slot in slots]
        return cls(answer, suffix, words, len(openings[0]), room, writer, generator)

    def advance(self, chosen: int) -> None:
        """Takes the model's choice, or the forced token in its place, as the next to feed."""
        if self.writer.finish is not None:
            return  # a finished row that is still in the batch repeats its last token, unread
        self.n_tokens += 1
        if self.writer.ask is Ask.FORCED:
            self.fed = self.writer.take_forced()
            return
        feed = self.writer.take(chosen)
        self.fed = self.fed if feed is None else feed


class _Batch:
    """Rows with one system text, and what the model has seen of them."""

    def __init__(self, model: _Model, system: str, rows: list[_Row]) -> None:
        prefix = model.prefix(system)
        self.model, self.rows, self.n_prefix = model, rows, prefix.length
        longest = max(len(row.suffix) for row in rows)
        pads = [longest - len(row.suffix) for row in rows]
        ids = [[model.pad] * pad + row.suffix for pad, row in zip(pads, rows, strict=True)]
        self.ids = torch.tensor(ids, device=model.device)  # (B, L)
        self.mask = torch.ones(len(rows), prefix.length + longest, dtype=torch.long, device=model.device)
        for n, pad in enumerate(pads):  # between the shared prefix and the row's own text
            self.mask[n, prefix.length : prefix.length + pad] = 0
        self.cache = prefix.repeated(len(rows), longest + max(row.room for row in rows))

    @property
    def n_active(self) -> int:
        """Rows that had no answer before this step."""
        return sum(not row.reported for row in self.rows)

    def prefill(self) -> Tensor:
        """Reads all prompts; returns the logits of the next tokens, (B, V)."""
        return self._forward(self.ids)

    def step(self) -> Tensor:
        """Reads one token per row; returns the logits of the next ones, (B, V)."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.rows), 1)], dim=1)
        return self._forward(torch.tensor([[row.fed] for row in self.rows], device=self.model.device))

    def _forward(self, ids: Tensor) -> Tensor:
        positions = (self.mask.cumsum(1) - 1)[:, -ids.shape[1] :]
        output = self.model.network(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]

    def drop_finished(self) -> None:
        """Takes finished rows out, if enough of them are there to repay copying the cache."""
        kept = [n for n, row in enumerate(self.rows) if not row.reported]
        if len(kept) > KEEP * len(self.rows):
            return
        index = torch.tensor(kept, dtype=torch.long, device=self.model.device)
        self.rows, self.mask = [self.rows[n] for n in kept], self.mask[index]
        if kept:
            self.cache.batch_select_indices(index)


class _Prefix:
    """Keys and values of a system text: 2 tensors (1, heads, length, width) per layer."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]]) -> None:
        self.layers, self.length = layers, layers[0][0].shape[2]

    def repeated(self, rows: int, room: int) -> Any:
        """A cache for that many rows, with room for that many more tokens."""
        from transformers.cache_utils import Cache

        return Cache(layers=[_roomy_layer()(keys, values, rows, room) for keys, values in self.layers])


def _roomy_layer() -> Any:
    """The class of a cache layer with its room set aside; transformers' own copies everything at each token."""
    from transformers.cache_utils import DynamicLayer

    base: Any = DynamicLayer

    class RoomyLayer(base):
        def __init__(self, keys: Tensor, values: Tensor, rows: int, room: int) -> None:
            super().__init__()
            self.used = keys.shape[2]
            self.store = keys.new_empty(2, rows, keys.shape[1], self.used + room, keys.shape[3])
            self.store[0, :, :, : self.used], self.store[1, :, :, : self.used] = keys, values
            self.is_initialized = True

        def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            start, self.used = self.used, self.used + key_states.shape[2]
            self.store[0, :, :, start : self.used] = key_states
            self.store[1, :, :, start : self.used] = value_states
            return self.store[0, :, :, : self.used], self.store[1, :, :, : self.used]

        def get_seq_length(self) -> int:
            return self.used

        def batch_select_indices(self, indices: Tensor) -> None:
            self.store = self.store[:, indices]

    return RoomyLayer


class _Model:
    """The network, its tokenizer, and which tokens may stand where."""

    def __init__(self, weights: Path, device: str, latin_only: bool) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self.device = torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(weights)
        network: Any = AutoModelForCausalLM.from_pretrained(weights, dtype=best_dtype(device))
        self.network = network.to(self.device)
        self.network.eval()
        n = self.network.config.vocab_size
        special = set(self.tokenizer.all_special_ids)
        self.pad = int(self.tokenizer.eos_token_id)
        self.separator = self.tokens("\n")
        self.pieces = ["" if i in special else str(self.tokenizer.decode([i])) for i in range(n)]
        newlines = {i for i, piece in enumerate(self.pieces) if piece and not piece.strip("\n")}
        self.ends = frozenset(newlines | {self.pad})
        self._allowed = self._masks(n, special, latin_only)
        self._prefixes: dict[str, _Prefix] = {}

    def _masks(self, n: int, special: set[int], latin_only: bool) -> Tensor:
        """Which tokens may follow, (3, V): first after an opening, free, and first without an opening."""
        usable = [i not in special and "\n" not in piece and "�" not in piece for i, piece in enumerate(self.pieces)]
        if latin_only:
            usable = [use and readable(piece) for use, piece in zip(usable, self.pieces, strict=True)]
        allowed = torch.zeros(3, n, dtype=torch.bool)
        for i, piece in enumerate(self.pieces):
            allowed[0, i] = usable[i] and begins_sentence(piece, after_opening=True)
            allowed[1, i] = usable[i] or i in self.ends
            allowed[2, i] = usable[i] and begins_sentence(piece, after_opening=False)
        return allowed.to(self.device)

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text that may hold no control token."""
        return list(self.tokenizer.encode(_harmless(text), add_special_tokens=False))

    def tokens_of_turn(self, prompt: str) -> list[int]:
        """The user's turn and the head of the answer, without the system text."""
        turns = [{"role": "system", "content": ""}, {"role": "user", "content": _harmless(prompt)}]
        head = self._render(turns[:1], False)
        return self._encode(self._render(turns, True).removeprefix(head))

    def prefix(self, system: str) -> _Prefix:
        """Keys and values of a system text; computed once."""
        if system not in self._prefixes:
            ids = self._encode(self._render([{"role": "system", "content": _harmless(system)}], False))
            if len(ids) > CONTEXT // 2:
                raise GenerationError(f"The system text has {len(ids)} tokens.", f"It may have {CONTEXT // 2}.")
            output = self.network(input_ids=torch.tensor([ids], device=self.device), use_cache=True, logits_to_keep=1)
            layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
            self._prefixes = {system: _Prefix(layers)}  # one at a time: requests come sorted by it
        return self._prefixes[system]

    def choose(self, logits: Tensor, rows: Sequence[_Row]) -> list[int]:
        """The next token of each row among the allowed ones; unread for rows that force theirs."""
        kinds = torch.tensor([_mask_of(row) for row in rows], device=self.device)
        logits = logits.float().masked_fill(~self._allowed[kinds], -torch.inf)
        chosen: list[int] = logits.argmax(1).tolist()
        for n, row in enumerate(rows):
            if row.generator is not None and row.writer.ask is not Ask.FORCED and row.writer.finish is None:
                shares = torch.softmax(logits[n] / row.answer.request.temperature, 0).cpu()
                chosen[n] = int(torch.multinomial(shares, 1, generator=row.generator))
        return chosen

    def _render(self, turns: list[dict[str, str]], answer: bool) -> str:
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def _mask_of(row: _Row) -> int:
    writer = row.writer
    if writer.ask is not Ask.FIRST or writer.finish is not None:
        return 1
    return 0 if writer.slots[len(writer.lines)].opening.strip() else 2


def _harmless(text: str) -> str:
    """A text whose words cannot be mistaken for control tokens such as `<|im_end|>`."""
    return re.sub(r"<\|", "< |", text)


def best_dtype(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> torch.dtype:
    """bf16 where the hardware computes in it (2.2 times as fast), fp32 elsewhere."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        flags = set()
    return torch.bfloat16 if flags & {"avx512_bf16", "amx_bf16"} else torch.float32


def _convert(gguf: Path, folder: Path) -> None:
    """Writes the network and its tokenizer (transformers reads the latter from the GGUF file)."""
    from transformers import AutoTokenizer

    convert(gguf, folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
