"""Shared by all tests: nothing of the developer's own state or settings reaches a test, and nothing calls home."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

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
