"""ExplainRec: the laws of every method, with all parts on and all parts off."""

from __future__ import annotations

import pytest

from models.backbones.collaborative import CollaborativeConfig
from models.explain_rec.knowledge import KnowledgeConfig
from models.methods.explain_rec import ExplainRec, ExplainRecConfig
from models.testing import Conformance
from models.threads import torch_threads

TOY = ExplainRecConfig(
    hidden=16, embedding_size=8, dropout=0.0, batch_size=64, learning_rate=1e-2, epochs=20, patience=20,
    knowledge=KnowledgeConfig(prototypes=4, min_support=2),
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=60, burn_in=20, samples=10, folds=2, starts=(0.3,)),
)  # fmt: skip
OFF = TOY.model_copy(update={"attribution": False, "knowledge_base": False, "vision": False, "multi_task": False})


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to threads than they gain."""
    with torch_threads(1):
        yield


class TestAllParts(Conformance):
    method, config = ExplainRec, TOY


class TestNoParts(Conformance):
    method, config = ExplainRec, OFF
