"""Releases: a signed manifest that binds model, features, texts and data, and the pointer to the live one.

A release is a folder that never changes. `signature` lists the sha256 of every file and an HMAC over that list, so
a file that was edited, cut or swapped is refused at load. The key lies beside the releases (0600): it protects
against accidents and against whoever may write files but not read the key; it is not a public signature.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from features.errors import ReleaseError
from features.types import ModelIdentity, RatingScale
from features.wording import Wording

ARTIFACT_NAME = "counterpoint"
"""Name of every artifact in the model store; a release's tag is `counterpoint:<version>`."""

ARTIFACT_FOLDER = "artifact"
"""Where the artifact lies inside its model: the model store adds files of its own beside it."""

MANIFEST, SIGNATURE, KEY, POINTER = "manifest.json", "signature", "key", "live.json"
TABLES = ("products", "facets", "facts", "pair_texts")

ReleaseId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*$")]


class _Record(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Metric(_Record):
    """One figure of the scorecard, on the held-out part."""

    name: str
    value: float


class Release(_Record):
    """What is served together: one manifest, never changed after it is published."""

    release_id: ReleaseId
    created_at: AwareDatetime
    method: str
    artifact_tag: Tag
    """Tag of the artifact in the model store."""
    artifact_hash: str
    feature_service: str
    """Name of the Feast feature service the artifact was trained with."""
    text_set_hash: str
    prompt_hash: str
    data_hash: str
    encoder: ModelIdentity
    llm: ModelIdentity
    metrics: tuple[Metric, ...]
    scale: RatingScale
    as_of: AwareDatetime
    """Every interaction the release knows is strictly earlier."""
    wording: Wording = Wording()
    """What the dataset's people call its products; composed reasons use it."""
    model_of: ReleaseId | None = None
    """The release that was made with this model and these metrics, if the texts were refreshed since."""


@dataclass(frozen=True, eq=False)
class ReleaseTexts:
    """The tables a service reads its words from; columns as in the lake.

    `facets` carries a column `vector` (list of float32, the encoder's vector of the facet's text).
    """

    products: pd.DataFrame
    facets: pd.DataFrame
    facts: pd.DataFrame
    pair_texts: pd.DataFrame


class Action(StrEnum):
    """How a release became live."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Move(_Record):
    """One change of the live release."""

    release_id: ReleaseId
    action: Action
    at: AwareDatetime


class _Pointer(_Record):
    """`stack`: releases to fall back to, the live one last. `moves`: everything that happened, oldest first."""

    stack: tuple[ReleaseId, ...] = ()
    moves: tuple[Move, ...] = ()

    def after(self, stack: tuple[str, ...], action: Action) -> _Pointer:
        move = Move(release_id=stack[-1], action=action, at=datetime.now(UTC))
        return _Pointer(stack=stack, moves=(*self.moves, move))


class ReleaseStore:
    """The releases under one folder. Every failure to read or verify is a ReleaseError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, release: Release, texts: ReleaseTexts, documents: Mapping[str, str] | None = None) -> None:
        """Writes and signs a release; it is not live yet. Readers see all of its folder or nothing.

        Args:
            release: its manifest.
            texts: the words a service shows.
            documents: further files by name, such as the cards.
        """
        target = self.folder / release.release_id
        if target.exists():
            raise ReleaseError(
                f"The release {release.release_id} already exists in {self.folder}.",
                remedy="Releases never change: publish under a new id.",
            )
        with _errors_name(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            half = self.folder / f".half-{release.release_id}-{secrets.token_hex(4)}"
            half.mkdir()
            try:
                self._write(half, release, texts)
                for name, content in (documents or {}).items():
                    (half / name).write_text(content, encoding="utf-8")
                self._seal(half)
                os.rename(half, target)
            finally:
                shutil.rmtree(half, ignore_errors=True)

    def read(self, release_id: str) -> Release:
        """A release's manifest, after its signature was checked."""
        folder = self.folder / release_id
        self._verify(folder, (MANIFEST,))
        with _errors_name(folder):
            release = Release.model_validate_json((folder / MANIFEST).read_bytes())
        if release.release_id != release_id:
            raise ReleaseError(f"The folder {folder} holds the release {release.release_id}.")
        return release

    def read_texts(self, release: Release) -> ReleaseTexts:
        """A release's tables, after their hashes were checked."""
        folder = self.folder / release.release_id
        self._verify(folder, tuple(f"{name}.parquet" for name in TABLES))
        with _errors_name(folder):
            return ReleaseTexts(**{name: pq.read_table(folder / f"{name}.parquet").to_pandas() for name in TABLES})

    def read_document(self, release_id: str, name: str) -> str | None:
        """A further file of a release, after its hash was checked; None if the release came without it."""
        self.read(release_id)
        folder = self.folder / release_id
        if not (folder / name).exists():
            return None
        self._verify(folder, (name,))
        with _errors_name(folder):
            return (folder / name).read_text(encoding="utf-8")

    def live(self) -> Release | None:
        """The release that is served, or None if none was ever promoted."""
        release_id = self.live_id()
        return self.read(release_id) if release_id else None

    def live_id(self) -> str | None:
        """The live release's id, from the pointer alone: cheap enough to ask often."""
        stack = self._pointer().stack
        return stack[-1] if stack else None

    def promote(self, release_id: str) -> Release:
        """Makes a release live, after reading it and its texts; promoting the live one changes nothing."""
        release, pointer = self.read(release_id), self._pointer()
        self.read_texts(release)
        if not pointer.stack or pointer.stack[-1] != release_id:
            self._move(pointer.after((*pointer.stack, release_id), Action.PROMOTE))
        return release

    def rollback(self) -> Release:
        """Makes the release before the live one live again."""
        pointer = self._pointer()
        if len(pointer.stack) < 2:
            raise ReleaseError(
                f"There is no release before {pointer.stack[-1]}." if pointer.stack else "No release was ever live.",
                remedy="`counterpoint run` makes another release.",
            )
        release = self.read(pointer.stack[-2])
        self.read_texts(release)
        self._move(pointer.after(pointer.stack[:-1], Action.ROLLBACK))
        return release

    def history(self) -> tuple[Move, ...]:
        """Every promotion and rollback, oldest first."""
        return self._pointer().moves

    def _write(self, folder: Path, release: Release, texts: ReleaseTexts) -> None:
        (folder / MANIFEST).write_text(release.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for name in TABLES:
            pq.write_table(pa.Table.from_pandas(getattr(texts, name), preserve_index=False), folder / f"{name}.parquet")

    def _seal(self, folder: Path) -> None:
        """Lists and signs all files."""
        sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
        (folder / SIGNATURE).write_text(f"{sums}{self._sign(sums)}  hmac-sha256\n", encoding="utf-8")

    def _verify(self, folder: Path, names: tuple[str, ...]) -> None:
        """Checks the signature of a folder and the hashes of the named files."""
        if not (folder / MANIFEST).exists():
            raise ReleaseError(
                f"There is no release at {folder}.", remedy=f"There are: {', '.join(self.ids()) or 'none'}."
            )
        with _errors_name(folder):
            lines = (folder / SIGNATURE).read_text(encoding="utf-8").splitlines(keepends=True)
            sums, signed = "".join(lines[:-1]), "".join(lines[-1:]).split("  ")[0]
            expected = {line.split("  ")[1].strip(): line.split("  ")[0] for line in lines[:-1]}
            found = {name: _sha256(folder / name) for name in names}
        wrong = [name for name in names if found[name] != expected.get(name)]
        if not hmac.compare_digest(signed.encode(), self._sign(sums).encode()):
            wrong = [SIGNATURE]
        if wrong:
            raise ReleaseError(
                f"The release {folder.name} was changed after it was signed: {', '.join(wrong)} does not match.",
                remedy="Roll back to another release, or publish it again; never edit a release by hand.",
            )

    def ids(self) -> tuple[str, ...]:
        """Ids of all published releases, sorted."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{MANIFEST}")))

    def _sign(self, text: str) -> str:
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        """The signing key; made on first use, readable by its owner only."""
        path = self.folder / KEY
        with _errors_name(path):
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return bytes.fromhex(path.read_text(encoding="ascii"))
            key = secrets.token_bytes(32)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(key.hex())
            return key

    def _pointer(self) -> _Pointer:
        path = self.folder / POINTER
        if not path.exists():
            return _Pointer()
        with _errors_name(path):
            return _Pointer.model_validate_json(path.read_bytes())

    def _move(self, pointer: _Pointer) -> None:
        half = self.folder / f".half-{POINTER}-{secrets.token_hex(4)}"
        with _errors_name(half):
            half.write_text(json.dumps(pointer.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
            os.replace(half, self.folder / POINTER)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Whatever goes wrong while reading or writing says where."""
    try:
        yield
    except (OSError, ValidationError, pa.ArrowInvalid, ValueError, IndexError) as error:
        raise ReleaseError(f"The release data at {path} cannot be used: {error}.") from error
