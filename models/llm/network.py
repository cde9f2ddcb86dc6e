"""The embedded model's network: a Llama forward of our own, for many short rows that begin with the same text.

Same numbers as transformers' (the tests compare them), reached with less work:

- The shared text's keys and values exist once. Every row attends to that one copy in one product per head, instead
  of reading a copy of its own at every token.
- Rows stand at different places, so a finished row's room is given to the next request at once.
- Weights are packed once for the processor's matrix units; products of the same input are one product.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

ROOM_STEP = 64
"""Room for tokens is set aside in multiples of this."""
TYPICAL_ROWS = 64
"""Tokens per product that packed weights are laid out for; any number works."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama network, from its `config.json`."""

    layers: int
    heads: int
    groups: int
    """Heads of keys and values; each serves heads / groups heads of queries."""
    width: int
    """Of one head."""
    hidden: int
    context: int
    epsilon: float
    theta: float

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """Reads a network's folder."""
        config = json.loads((folder / "config.json").read_text())
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        return cls(
            layers=config["num_hidden_layers"],
            heads=heads,
            groups=config["num_key_value_heads"],
            width=hidden // heads,
            hidden=hidden,
            context=config["max_position_embeddings"],
            epsilon=config["rms_norm_eps"],
            theta=config["rope_parameters"]["rope_theta"],
        )


class Memory:
    """Keys and values of the tokens that rows have read, with room for more.

    `stored` is (layers, 2, rows, groups, room, width), keys before values.
    """

    def __init__(self, shape: Shape, like: Tensor) -> None:
        self.stored = like.new_zeros(shape.layers, 2, 0, shape.groups, 0, shape.width)

    @property
    def rows(self) -> int:
        """Rows there is room for."""
        return self.stored.shape[2]

    @property
    def room(self) -> int:
        """Tokens there is room for in each row."""
        return self.stored.shape[4]

    def reserve(self, rows: int, room: int) -> None:
        """Makes room for that many tokens at least, in each of that many rows, whose content is kept.

        Rows beyond are given up where tokens need the room, so that a few long rows do not lengthen many short ones.
        """
        if rows <= self.rows and room <= self.room:
            return
        layers, two, old_rows, groups, old_room, width = self.stored.shape
        room, kept = max(ROOM_STEP * math.ceil(room / ROOM_STEP), old_room), min(rows, old_rows)
        # Zeros, since a place that is masked must still hold a number.
        stored = self.stored.new_zeros(layers, two, rows, groups, room, width)
        stored[:, :, :kept, :, :old_room] = self.stored[:, :, :kept]
        self.stored = stored

    def move(self, source: int, target: int, length: int) -> None:
        """Copies a row's first tokens over another row."""
        self.stored[:, :, target, :, :length] = self.stored[:, :, source, :, :length]


class LowRankChange(NamedTuple):
    """A change of a weight that is kept apart from it: up @ down, its scale already in `up`.

    In bf16 a small change would be lost by adding it: what is below half of a weight's last bit rounds away.
    """

    down: Tensor  # (r, in)
    up: Tensor  # (out, r)


class Product:
    """Multiplies by fixed weights (out, in), packed for the matrix units where torch offers it.

    Packing saves oneDNN from laying the weights out anew at every call: 1.4 times as fast from 64 to 256 rows (bf16,
    one core, all layers' weights in turn).
    """

    def __init__(self, weight: Tensor, change: LowRankChange | None = None) -> None:
        self.change = change
        self.packed = weight.device.type == "cpu" and weight.dtype is torch.bfloat16 and torch.backends.mkldnn.enabled
        mkldnn: Any = torch.ops.mkldnn
        self.weight: Tensor = mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS) if self.packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """x @ weight.T, and what the change adds."""
        product = self._product(x)
        if self.change is None:
            return product
        return product + functional.linear(functional.linear(x, self.change.down), self.change.up)

    def _product(self, x: Tensor) -> Tensor:
        if not self.packed:
            return functional.linear(x, self.weight)
        mkldnn: Any = torch.ops.mkldnn
        product: Tensor = mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
        return product


@dataclass(frozen=True)
class _Layer:
    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    before_attention: Tensor
    before_mlp: Tensor


@dataclass(frozen=True)
class _Places:
    """Where the tokens of one call stand; the same for all layers."""

    rows: Tensor
    """(n, 1): of the memory."""
    places: Tensor
    """(n, m): among their row's own tokens."""
    used: int
    """Own tokens that any of the rows holds after this call."""
    cos: Tensor
    sin: Tensor
    """(n * m, 1, width): rotation by position."""
    mask: Tensor
    """(n, 1, m * heads per group, used): 0 where a query may look, -inf where it may not."""


class Network:
    """A Llama network that reads tokens and scores what may come next.

    Args:
        shape: its sizes.
        weights: by their names in transformers, in any floating types; an adapter's changes already merged.
        device: where it runs.
        dtype: what it computes in.
        choices: the tokens that may be chosen; only these are scored, in this order.
        changes: of linear layers, by their names in transformers, that are applied beside the weights.
    """

    def __init__(
        self,
        shape: Shape,
        weights: Mapping[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
        choices: Tensor,
        changes: Mapping[str, LowRankChange] | None = None,
    ) -> None:
        self.shape, self.device = shape, device

        def tensor(*names: str) -> Tensor:
            return torch.cat([weights[f"model.{name}.weight"].to(device) for name in names]).to(dtype)

        def product(*names: str) -> Product:
            sizes = [len(weights[f"model.{name}.weight"]) for name in names]
            parts = [(changes or {}).get(f"model.{name}") for name in names]
            return Product(tensor(*names), _beside_each_other(parts, sizes, device, dtype))

        def layer(n: int) -> _Layer:
            attention, mlp = f"layers.{n}.self_attn", f"layers.{n}.mlp"
            return _Layer(
                product(*(f"{attention}.{part}_proj" for part in "qkv")),
                product(f"{attention}.o_proj"),
                product(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
                product(f"{mlp}.down_proj"),
                tensor(f"layers.{n}.input_layernorm"),
                tensor(f"layers.{n}.post_attention_layernorm"),
            )

        self.embedding = tensor("embed_tokens")
        self.head = Product(self.embedding[choices.to(device)])  # the two are tied
        self.norm = tensor("norm")
        self.layers = [layer(n) for n in range(shape.layers)]
        self.cos, self.sin = (table.to(device=device, dtype=dtype) for table in _rotations(shape))

    def memory(self) -> Memory:
        """An empty memory."""
        return Memory(self.shape, self.embedding)

    @torch.inference_mode()
    def prefix(self, ids: Sequence[int]) -> Tensor:
        """Reads a text (one token or more) that many rows begin with.

        Returns its keys and values, (layers, 2, groups, length, width).
        """
        memory = self.memory()
        memory.reserve(1, len(ids))
        nothing = memory.stored[:, :, 0, :, :0]
        self.read([ids], [0], 0, memory, nothing)
        return memory.stored[:, :, 0, :, : len(ids)].contiguous()

    @torch.inference_mode()
    def read(
        self, ids: Sequence[Sequence[int]], starts: Sequence[int], first: int, memory: Memory, prefix: Tensor
    ) -> Tensor:
        """Reads the next tokens of some neighbouring rows; returns the scores of what comes after each, (n, choices).

        Args:
            ids: per row at least one token; rows may differ in length.
            starts: how many tokens of its own each row has read before.
            first: the first of the rows in the memory, which must have the room.
            memory: gets the tokens' keys and values.
            prefix: what all rows begin with, read before.
        """
        longest = max(len(row) for row in ids)
        padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids], device=self.device)
        at = self._places(longest, starts, prefix.shape[3])
        x = self.embedding[padded.flatten()]
        for layer, stored, shared in zip(self.layers, memory.stored, prefix, strict=True):
            own = stored[:, first : first + len(ids)]
            x = x + self._attention(layer, self._normed(x, layer.before_attention), own, shared, at)
            gate, up = layer.gate_up(self._normed(x, layer.before_mlp)).chunk(2, -1)
            x = x + layer.down(functional.silu(gate) * up)
        ends = torch.tensor([n * longest + len(row) - 1 for n, row in enumerate(ids)], device=self.device)
        return self.head(self._normed(x[ends], self.norm))

    def _places(self, longest: int, starts: Sequence[int], n_prefix: int) -> _Places:
        """What stands after a row's end is read too; nothing looks at it, and the row's next token replaces it."""
        places = torch.tensor(starts, device=self.device)[:, None] + torch.arange(longest, device=self.device)
        used = max(starts) + longest
        hidden = torch.arange(used, device=self.device) > places[:, :, None]
        mask = torch.zeros(hidden.shape, dtype=self.cos.dtype, device=self.device).masked_fill_(hidden, -torch.inf)
        positions = (places + n_prefix).flatten()
        rows = torch.arange(len(starts), device=self.device)[:, None]
        cos, sin = self.cos[positions, None], self.sin[positions, None]
        mask = mask.repeat_interleave(self.shape.heads // self.shape.groups, 1)[:, None]
        return _Places(rows, places, used, cos, sin, mask)

    def _attention(self, layer: _Layer, x: Tensor, own: Tensor, shared: Tensor, at: _Places) -> Tensor:
        """What tokens take from the shared text and from their own row; adds their keys and values to `own`.

        The shared part is one product per group for the tokens of all rows together.
        """
        groups, width, (n, m) = self.shape.groups, self.shape.width, at.places.shape
        queries = self._queries(layer.qkv(x).view(n * m, -1, width), own, at)
        each, length = queries.shape[2], shared.shape[2]
        together = queries.transpose(0, 1).reshape(groups, n * each, width)
        of_shared = (together @ shared[0].transpose(1, 2)).view(groups, n, each, length).transpose(0, 1)
        own = own[:, :, :, : at.used]
        of_own = (own[0] @ queries.transpose(2, 3)).transpose(2, 3) + at.mask  # faster than queries @ keys
        shares = torch.cat([of_shared, of_own], -1).softmax(-1)
        together = shares[..., :length].transpose(0, 1).reshape(groups, n * each, length)
        seen = (together @ shared[1]).view(groups, n, each, width).transpose(0, 1) + shares[..., length:] @ own[1]
        return layer.out(seen.view(n, groups, m, -1, width).transpose(1, 2).reshape(n * m, -1))

    def _queries(self, qkv: Tensor, own: Tensor, at: _Places) -> Tensor:
        """Queries (n, groups, m * heads per group, width), scaled; stores keys and values."""
        groups, width, (n, m) = self.shape.groups, self.shape.width, at.places.shape
        turned = qkv[:, :-groups]
        qkv[:, :-groups] = torch.addcmul(turned * at.cos, turned.roll(width // 2, -1), at.sin)
        own[:, at.rows, :, at.places] = qkv[:, -2 * groups :].view(n, m, 2, groups, width)
        queries = qkv[:, : -2 * groups].view(n, m, groups, -1, width).transpose(1, 2)
        return queries.reshape(n, groups, -1, width) / math.sqrt(width)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.shape.hidden,), weight, self.shape.epsilon)


def _beside_each_other(
    parts: Sequence[LowRankChange | None], sizes: Sequence[int], device: torch.device, dtype: torch.dtype
) -> LowRankChange | None:
    """The change of several layers that are one product: each part reaches the outputs of its own layer alone."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    ups = [torch.zeros(size, 0) if part is None else part.up.cpu() for part, size in zip(parts, sizes, strict=True)]
    down, up = torch.cat([part.down for part in known]), torch.block_diag(*ups)  # type: ignore[no-untyped-call]
    return LowRankChange(down.to(device, dtype), up.to(device, dtype))


def _rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines (context, width) of rotary positions.

    The sign of the sine's first half is turned, so that rotating is x * cos + (x with its halves swapped) * sin.
    """
    frequencies = shape.theta ** (-torch.arange(0, shape.width, 2).float() / shape.width)
    angles = torch.outer(torch.arange(shape.context).float(), frequencies)
    return torch.cat([angles.cos(), angles.cos()], -1), torch.cat([-angles.sin(), angles.sin()], -1)


def best_dtype(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> torch.dtype:
    """bf16 where the hardware computes in it, fp32 elsewhere."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        flags = set()
    return torch.bfloat16 if flags & {"avx512_bf16", "amx_bf16"} else torch.float32
