"""Shared by all tests: nothing of the developer's own state or settings reaches a test, and nothing calls home."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client  # noqa: F401  # before Feast, whose import points it at a folder that tests do not keep
import pytest

os.environ.update(GX_ANALYTICS_ENABLED="False", FEAST_USAGE="False", BENTOML_DO_NOT_TRACK="True", DO_NOT_TRACK="1")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", PREFECT_LOGGING_TO_API_ENABLED="false")
os.environ.setdefault("MPLBACKEND", "Agg")

KEPT = ("COUNTERPOINT_DATA",)
"""Where a folder of real data lies; all other settings are those of the test."""

POSTGRES = os.environ.get(
    "COUNTERPOINT_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test?connect_timeout=2"
)
"""A PostgreSQL server for tests; those that need it are skipped where there is none."""


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


@pytest.fixture(autouse=True, scope="module")
def own_environment() -> Iterator[None]:
    """Leaves the environment as it was: commands set where Prefect, BentoML and Feast keep their state."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh COUNTERPOINT_HOME per test, and no other COUNTERPOINT_* variable of the surrounding shell."""
    for name in list(os.environ):
        if name.startswith("COUNTERPOINT_") and name not in KEPT:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("COUNTERPOINT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder named by COUNTERPOINT_DATA; tests that need it are skipped where it is not set."""
    folder = os.environ.get("COUNTERPOINT_DATA", "")
    if not folder:
        pytest.skip("COUNTERPOINT_DATA is not set: no folder of real data on this machine")
    return Path(folder)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty schema of a PostgreSQL server."""
    import sqlalchemy as sa

    engine, schema = sa.create_engine(POSTGRES), f"t{uuid.uuid4().hex[:8]}"
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        pytest.skip("No PostgreSQL: start one with `initdb -A trust` and set COUNTERPOINT_TEST_POSTGRES to its URL.")
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    yield sa.make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger may be made, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def save_clip() -> Callable[..., Path]:
    """Saves a random CLIP vision model, which sees images of 32 by 32 pixels in patches of 8: (folder, seed)."""

    def save(folder: Path, seed: int = 0) -> Path:
        import torch
        from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

        config = CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32,
            patch_size=8, projection_dim=12,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            CLIPVisionModelWithProjection(config).save_pretrained(folder)
        sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        CLIPImageProcessorPil(**sizes).save_pretrained(folder)
        return folder

    return save


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
