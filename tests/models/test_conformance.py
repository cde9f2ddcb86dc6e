"""Every method obeys the same laws; LR-Recsys learns what is planted and nothing else."""

from models.methods.bias import Bias, BiasConfig
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.methods.popularity import Popularity, PopularityConfig
from models.testing import Conformance

TOY = LRRecsysConfig(
    embedding_size=16, n_heads=2, hidden=(32,), dropout=0.0, id_dropout=0.05, batch_size=64, learning_rate=1e-2,
    epochs=25, patience=8,
)  # fmt: skip


class TestPopularity(Conformance):
    method, config, learns_checkerboard = Popularity, PopularityConfig(), False


class TestBias(Conformance):
    method, config, learns_checkerboard = Bias, BiasConfig(), False


class TestLRRecsys(Conformance):
    method, config = LRRecsys, TOY
