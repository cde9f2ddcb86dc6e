"""A language model small enough to be tuned in a test: random weights, a tokenizer of its own, the usual files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CORPUS = [
    *["Prediction: Yes", "Prediction: No"] * 9,
    *["The consumer likes warm sweet mild products and dislikes loud bitter cold ones."] * 9,
    "You judge whether a consumer will like a product.",
]
DOCUMENTS = [
    f"The consumer likes {taste} products {n}. Target: {target} product.\nPrediction: {answer}"
    for n, taste in enumerate(["warm", "cold", "sweet", "loud"])
    for target in ("warm", "cold")
    for answer in ("Yes", "No")
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Llama of two blocks, as the real weights are converted."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    special = ["<|im_end|>", "<|im_start|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token=special[0], pad_token=special[0])
    fast.chat_template = CHAT
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=tokens.get_vocab_size(), hidden_size=48, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
            initializer_range=0.15, eos_token_id=0, bos_token_id=1, pad_token_id=0,
        )  # fmt: skip
        network = LlamaForCausalLM(config)
        read_corpus(network, [tokens.encode(f"{text}<|im_end|>").ids for text in DOCUMENTS])
        network.save_pretrained(folder)
    return folder


def read_corpus(network: Any, documents: list[list[int]]) -> None:
    """Trains all weights on a few lines, so that the model knows the words and the form of an answer."""
    import torch

    longest = max(map(len, documents))
    ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in documents])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(40):
        network(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
