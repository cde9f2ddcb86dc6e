"""Reads a Llama-shaped GGUF file into transformers' format, once.

transformers' own GGUF loader needs `accelerate` and refuses to save what it loaded, so the tensors are renamed
here. Everything is rounded to bf16, far finer than the file's 4 bits, so that every host uses the same weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.llm.weights import converted_folder, find_weights, weights_identity

_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def llama_name(name: str) -> str:
    """The name in transformers' Llama of a GGUF tensor, for instance `blk.3.attn_q.weight`."""
    if name in _TOP:
        return _TOP[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_LAYER[part]}.{kind}"


def llama_config(reader: Any) -> dict[str, Any]:
    """The arguments of `LlamaConfig` that a GGUF file's header holds."""

    def value(key: str) -> Any:
        return reader.fields[f"llama.{key}"].contents()

    return {
        "vocab_size": value("vocab_size"),
        "hidden_size": value("embedding_length"),
        "intermediate_size": value("feed_forward_length"),
        "num_hidden_layers": value("block_count"),
        "num_attention_heads": value("attention.head_count"),
        "num_key_value_heads": value("attention.head_count_kv"),
        "max_position_embeddings": value("context_length"),
        "rms_norm_eps": value("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": value("rope.freq_base")},
        "bos_token_id": reader.fields["tokenizer.ggml.bos_token_id"].contents(),
        "eos_token_id": reader.fields["tokenizer.ggml.eos_token_id"].contents(),
        "pad_token_id": reader.fields["tokenizer.ggml.padding_token_id"].contents(),
        "tie_word_embeddings": True,
    }


def llama_tensors(reader: Any) -> dict[str, Any]:
    """All weights by their name in transformers' Llama, as bf16 tensors."""
    import torch
    from gguf import dequantize

    tensors = {}
    heads = {key: reader.fields[f"llama.attention.{key}"].contents() for key in ("head_count", "head_count_kv")}
    for item in reader.tensors:
        array = dequantize(item.data, item.tensor_type)
        if item.name.endswith(("attn_q.weight", "attn_k.weight")):
            array = _unpermuted(array, heads["head_count" if "attn_q" in item.name else "head_count_kv"])
        tensors[llama_name(item.name)] = torch.from_numpy(array.copy()).to(torch.bfloat16)
    return tensors


def _unpermuted(array: Any, heads: int) -> Any:
    """Undoes GGUF's order of rotary pairs: neighbours there, halves in transformers."""
    half = array.shape[0] // heads // 2
    return array.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(array.shape)


def convert(gguf: Path, folder: Path) -> None:
    """Writes the network (safetensors and its config) and its tokenizer into an existing folder."""
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoTokenizer

    reader = GGUFReader(gguf)
    save_file(llama_tensors(reader), folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps({**config, **llama_config(reader)}, indent=1))
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def converted(folder: Path) -> Path:
    """The embedded model's network and tokenizer under a folder, converted from the installed file if need be."""
    gguf = find_weights()
    return converted_folder(folder, weights_identity(gguf), lambda half: convert(gguf, half))
