"""An artifact is loaded only if it is what was saved."""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import ReleaseError
from models.artifact import Provenance, load_artifact, replay_golden, save_artifact
from models.base import RunContext
from models.methods.bias import Bias, BiasConfig
from models.testing import SCALE, rich_batch, rich_training_set


@pytest.fixture
def saved(tmp_path):
    method = Bias(BiasConfig(), SCALE)
    method.fit(rich_training_set(64), rich_training_set(32, 1), RunContext())
    provenance, card = Provenance(data_hash="d", text_set_hash="t"), {"run_card.md": b"# Run card"}
    save_artifact(tmp_path / "a", method, None, rich_batch(10), provenance, card)
    return tmp_path / "a"


def test_golden_examples_do_not_move(saved):
    assert replay_golden(load_artifact(saved)) == 0


def test_a_moved_golden_score_is_refused(saved):
    artifact = load_artifact(saved)
    moved = replace(artifact.golden, click=artifact.golden.click + np.float32(1e-4))
    with pytest.raises(ReleaseError, match="moved"):
        replay_golden(replace(artifact, golden=moved))


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "golden.json", "prompts.json", "run_card.md"])
def test_a_changed_file_is_refused(saved, name):
    path = saved / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match=name):
        load_artifact(saved)


def test_a_missing_or_added_file_is_refused(saved):
    (saved / "extra").write_text("")
    with pytest.raises(ReleaseError, match="extra"):
        load_artifact(saved)
