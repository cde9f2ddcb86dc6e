"""Every method obeys the same laws; LR-Recsys learns what is planted and nothing else."""

import pytest
import torch

from models.backbones.collaborative import CollaborativeConfig
from models.backbones.sequences.reranking import RerankConfig
from models.methods.bias import Bias, BiasConfig
from models.methods.lane import Lane, LaneConfig
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.methods.popularity import Popularity, PopularityConfig
from models.testing import Conformance

TOY = LRRecsysConfig(
    embedding_size=16, n_heads=2, hidden=(32,), dropout=0.0, id_dropout=0.05, batch_size=64, learning_rate=1e-2,
    epochs=30, patience=30,
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=60, burn_in=20, samples=10, folds=2, starts=(0.3,)),
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestPopularity(Conformance):
    method, config, learns_checkerboard = Popularity, PopularityConfig(), False


class TestBias(Conformance):
    method, config, learns_checkerboard = Bias, BiasConfig(), False


class TestLRRecsys(Conformance):
    method, config = LRRecsys, TOY

    @pytest.mark.slow
    def test_checkerboard_is_learned(self) -> None:
        """By far the slowest of all methods."""
        super().test_checkerboard_is_learned()


class TestLRRecsysJoint(TestLRRecsys):
    """Codes trained on with the ranker: the same laws, held products and saved artifacts among them."""

    config = TOY.model_copy(update={"joint": 0.1})


class TestLane(Conformance):
    method = Lane
    config = LaneConfig(
        embedding_size=16, n_layers=1, n_heads=2, dropout=0.1, attention_heads=2, learning_rate=1e-2, epochs=30,
        patience=30, batch_size=8,
    )  # fmt: skip


class TestLaneReranked(TestLane):
    """Lists whose first products are ordered anew: the same laws, saved artifacts and strangers among them."""

    config = TestLane.config.model_copy(update={"rerank": RerankConfig(n_first=5, epochs=2, batch_size=8)})
