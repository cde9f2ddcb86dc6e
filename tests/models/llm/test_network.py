"""The network computes what transformers' Llama computes, however rows are cut, shared, moved and adapted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from features.errors import GenerationError
from models.llm.adapter import CONFIG, WEIGHTS, adapter_revision, find_adapter, merged
from models.llm.network import Network, Shape, best_dtype
from models.llm.tokens import MULTIPLE, best

SHAPE = Shape(layers=2, heads=6, groups=2, width=8, hidden=48, context=64, epsilon=1e-5, theta=10_000.0)
VOCABULARY, MLP = 50, 40
TEXT = [7, 3, 9, 9, 20, 4, 31, 8, 12, 2, 45, 6]
Q = "model.layers.0.self_attn.q_proj"


def random_weights() -> dict[str, Tensor]:
    """A tiny Llama's weights by their names in transformers."""
    generator = torch.Generator().manual_seed(0)
    narrow = SHAPE.groups * SHAPE.width
    sizes: dict[str, tuple[int, ...]] = {"embed_tokens": (VOCABULARY, SHAPE.hidden), "norm": (SHAPE.hidden,)}
    for n in range(SHAPE.layers):
        attention, mlp = f"layers.{n}.self_attn", f"layers.{n}.mlp"
        sizes |= {f"{attention}.{part}_proj": (SHAPE.hidden, SHAPE.hidden) for part in "qo"}
        sizes |= {f"{attention}.{part}_proj": (narrow, SHAPE.hidden) for part in "kv"}
        sizes |= {f"{mlp}.{part}_proj": (MLP, SHAPE.hidden) for part in ("gate", "up")}
        sizes |= {f"{mlp}.down_proj": (SHAPE.hidden, MLP)}
        sizes |= {f"layers.{n}.{norm}_layernorm": (SHAPE.hidden,) for norm in ("input", "post_attention")}
    return {f"model.{name}.weight": torch.randn(size, generator=generator) / 4 for name, size in sizes.items()}


def network(weights: dict[str, Tensor] | None = None, dtype: torch.dtype = torch.float32) -> Network:
    return Network(SHAPE, weights or random_weights(), torch.device("cpu"), dtype, torch.arange(VOCABULARY))


def scores_of(net: Network, text: list[int]) -> Tensor:
    """The scores after a text that is read in one go, without anything shared."""
    memory = net.memory()
    memory.reserve(1, len(text))
    return net.read([text], [0], 0, memory, memory.stored[:, :, 0, :, :0])[0]


def adapter_in(folder: Path, alpha: float = 8, **more: object) -> tuple[Tensor, Tensor]:
    """Writes an adapter of rank 2 for one tensor; returns its two factors."""
    down, up = torch.randn(2, SHAPE.hidden), torch.randn(SHAPE.hidden, 2)
    prefix = f"base_model.model.{Q}"
    save_file({f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}, folder / WEIGHTS)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": alpha, "bias": "none", **more}
    (folder / CONFIG).write_text(json.dumps(settings))
    return down, up


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 5])
def test_scores_are_those_of_transformers(cut: int) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=SHAPE.hidden,
        intermediate_size=MLP,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.groups,
        rms_norm_eps=SHAPE.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": SHAPE.theta},
        tie_word_embeddings=True,
    )
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(random_weights(), strict=False)
    theirs.tie_weights()
    ours = network()
    memory = ours.memory()
    memory.reserve(1, len(TEXT))
    got = ours.read([TEXT[cut:]], [0], 0, memory, ours.prefix(TEXT[:cut]))[0]
    with torch.inference_mode():
        expected = theirs(torch.tensor([TEXT])).logits[0, -1]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_row_scores_the_same_alone_and_among_others_of_other_lengths() -> None:
    net, texts = network(), [TEXT[4:], TEXT[4:6], [1, 2, 3, 4]]
    memory = net.memory()
    memory.reserve(3, 8)
    together = net.read(texts, [0, 0, 0], 0, memory, net.prefix(TEXT[:4]))
    for row, text in zip(together, texts, strict=True):
        torch.testing.assert_close(row, scores_of(net, TEXT[:4] + text), rtol=1e-4, atol=1e-4)


def test_rows_at_different_places_go_on_together() -> None:
    net, texts, added = network(), [TEXT[4:7], TEXT[4:]], [11, 22]
    memory, prefix = net.memory(), net.prefix(TEXT[:4])
    memory.reserve(2, 10)
    net.read(texts, [0, 0], 0, memory, prefix)
    together = net.read([[token] for token in added], [len(text) for text in texts], 0, memory, prefix)
    for row, text, token in zip(together, texts, added, strict=True):
        torch.testing.assert_close(row, scores_of(net, [*TEXT[:4], *text, token]), rtol=1e-4, atol=1e-4)


def test_a_row_that_moves_into_a_used_place_takes_its_memory_along() -> None:
    net = network()
    memory, prefix = net.memory(), net.prefix(TEXT[:4])
    memory.reserve(2, 10)
    net.read([[1, 2, 3, 4, 5], TEXT[4:7]], [0, 0], 0, memory, prefix)
    memory.move(1, 0, 3)
    memory.reserve(5, 70)  # growing keeps what is there
    got = net.read([[9]], [3], 0, memory, prefix)[0]
    torch.testing.assert_close(got, scores_of(net, [*TEXT[:7], 9]), rtol=1e-4, atol=1e-4)


def test_a_long_row_does_not_lengthen_rows_that_are_gone() -> None:
    memory = network().memory()
    memory.reserve(128, 60)
    memory.reserve(2, 4000)
    assert (memory.rows, memory.room) == (2, 4032)


@pytest.mark.skipif(best_dtype("cpu") is not torch.bfloat16, reason="this processor does not compute in bf16")
def test_bf16_scores_are_near_those_of_fp32() -> None:
    exact, rounded = scores_of(network(), TEXT), scores_of(network(dtype=torch.bfloat16), TEXT)
    assert rounded.dtype is torch.bfloat16
    assert torch.nn.functional.cosine_similarity(exact, rounded.float(), 0) > 0.999


@pytest.mark.parametrize(("flags", "dtype"), [("fpu avx512f avx512_bf16", torch.bfloat16), ("fpu avx2", torch.float32)])
def test_bf16_is_used_where_the_processor_computes_in_it(tmp_path: Path, flags: str, dtype: torch.dtype) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    assert best_dtype("cpu", tmp_path / "cpuinfo") is dtype
    assert best_dtype("cpu", tmp_path / "none") is torch.float32


@pytest.mark.parametrize("width", [MULTIPLE * 3, MULTIPLE + 1])
def test_the_best_score_is_found_in_two_passes(width: int) -> None:
    scores = torch.randn(5, width, generator=torch.Generator().manual_seed(1))
    assert best(scores).tolist() == scores.argmax(1).tolist()


def test_an_adapter_adds_its_scaled_product(tmp_path: Path) -> None:
    down, up = adapter_in(tmp_path, alpha=8)
    weights = random_weights()
    changed = merged(weights, tmp_path)
    torch.testing.assert_close(changed[f"{Q}.weight"], weights[f"{Q}.weight"] + 8 / 2 * up @ down)
    same = [name for name in weights if torch.equal(changed[name], weights[name])]
    assert len(same) == len(weights) - 1
    assert not torch.allclose(scores_of(network(changed), TEXT), scores_of(network(weights), TEXT))


def test_another_adapter_is_another_model(tmp_path: Path) -> None:
    adapter_in(tmp_path, alpha=8)
    first = adapter_revision(tmp_path)
    assert first == adapter_revision(tmp_path)
    (tmp_path / CONFIG).write_text((tmp_path / CONFIG).read_text().replace("8", "16"))
    assert adapter_revision(tmp_path) != first


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"use_dora": True}, "it has use_dora"),
        ({"alora_invocation_tokens": [3, 4]}, "it has alora_invocation_tokens"),  # would be on only after these tokens
        ({"bias": "all"}, "it has bias 'all'"),
        ({"peft_type": "IA3"}, "it has peft_type 'IA3'"),
        ({"init_lora_weights": "pissa_niter_16"}, "it has init_lora_weights 'pissa_niter_16'"),  # of other weights
        ({"lora_alpha": None}, "its lora_alpha is None"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path: Path, more: dict[str, object], found: str) -> None:
    adapter_in(tmp_path, **more)
    with pytest.raises(GenerationError, match=f"cannot be merged: {found}"):
        merged(random_weights(), tmp_path)


def test_an_adapter_that_begins_otherwise_on_the_same_weights_is_merged(tmp_path: Path) -> None:
    adapter_in(tmp_path, init_lora_weights="gaussian")
    assert merged(random_weights(), tmp_path)


def test_an_adapter_without_a_change_or_settings_is_refused(tmp_path: Path) -> None:
    adapter_in(tmp_path)
    save_file({}, tmp_path / WEIGHTS)
    with pytest.raises(GenerationError, match="it changes nothing"):
        merged(random_weights(), tmp_path)
    (tmp_path / CONFIG).write_text("[]")
    with pytest.raises(GenerationError, match=r"its adapter_config\.json holds a list"):
        merged(random_weights(), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_adapter_is_added_in_fp32_whatever_it_is_kept_in(tmp_path: Path, dtype: torch.dtype) -> None:
    down, up = (part.to(dtype) for part in adapter_in(tmp_path, alpha=8))
    save_file({name: part.to(dtype) for name, part in load_file(tmp_path / WEIGHTS).items()}, tmp_path / WEIGHTS)
    weights = random_weights()
    changed = merged(weights, tmp_path)[f"{Q}.weight"]
    assert changed.dtype == torch.float32
    torch.testing.assert_close(changed, weights[f"{Q}.weight"] + 8 / 2 * up.float() @ down.float())


def test_an_adapter_for_another_network_is_refused(tmp_path: Path) -> None:
    adapter_in(tmp_path)
    with pytest.raises(GenerationError, match="fits no tensor"):
        merged({"model.other.weight": torch.ones(1)}, tmp_path)


def test_a_host_names_its_adapter_or_none(tmp_path: Path) -> None:
    adapter_in(tmp_path)
    assert find_adapter(str(tmp_path)) == tmp_path
    assert find_adapter("none") is None
    with pytest.raises(GenerationError, match=r"adapter_config\.json"):
        find_adapter(str(tmp_path / "absent"))


@pytest.mark.slow
@pytest.mark.parametrize("rslora", [False, True])
def test_merging_is_pefts(tmp_path: Path, rslora: bool) -> None:
    peft = pytest.importorskip("peft")
    linear = torch.nn.Linear(SHAPE.hidden, SHAPE.hidden, bias=False)
    weight = linear.weight.detach().clone()
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False, use_rslora=rslora)
    adapted = peft.get_peft_model(torch.nn.ModuleDict({"q_proj": linear}), config)
    adapted.save_pretrained(tmp_path)
    expected = adapted.merge_and_unload()["q_proj"].weight
    torch.testing.assert_close(merged({"q_proj.weight": weight}, tmp_path)["q_proj.weight"], expected.detach())
