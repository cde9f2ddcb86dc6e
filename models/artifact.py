"""The artifact: one folder that is enough to serve, and that proves it is what was trained.

    manifest.json             sha256 and size of every other file, and where all of it came from
    config.json               method, its config, rating scale
    weights.safetensors, vocabularies.json          the method's own
    autoencoder/              makes codes of new texts
    prompts.json              the prompts the texts were bought with
    golden.safetensors, golden.json                 a batch with the scores recorded at training
    run_card.json, run_card.md, curves.png          how it was trained, what that reached and cost

There is no pickle anywhere: arrays are safetensors, everything else is JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.batch import ConsumerBlock, FeatureBatch, Indexed, PairBlock, ProductBlock, tuples
from features.errors import CounterpointError, ReleaseError
from features.types import RatingScale
from models.backbones.autoencoder import Autoencoder
from models.base import Recommender, Scores, find_method

FORMAT = 2
TOLERANCE = 1e-5
"""How far a replayed golden score may lie from the recorded one (stars, probability)."""
MANIFEST = "manifest.json"


class Provenance(BaseModel):
    """Where an artifact came from: hashes, prompts, models and what was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_hash: str
    text_set_hash: str
    prompts: dict[str, str] = Field(default_factory=dict)
    """Prompt texts by name."""
    prompt_hash: str = ""
    encoder: str = ""
    """Name and revision of the text encoder."""
    language_model: str = ""
    """Name and revision of the language model."""
    commit: str = ""
    seed: int = 0
    created: str = ""
    """ISO 8601, UTC."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Test metrics by name."""


class FileEntry(BaseModel):
    """What a file must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: int


class Manifest(BaseModel):
    """The list of an artifact's files and its provenance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    method: str
    files: dict[str, FileEntry]
    provenance: Provenance

    @property
    def artifact_hash(self) -> str:
        """Names this artifact: changes with any byte of any file."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Golden:
    """A batch and the scores it had when the artifact was made."""

    batch: FeatureBatch
    rating: NDArray[np.float32]
    click: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded artifact whose files are what the manifest says."""

    recommender: Recommender
    autoencoder: Autoencoder | None
    manifest: Manifest
    golden: Golden


def save_artifact(
    folder: Path,
    recommender: Recommender,
    autoencoder: Autoencoder | None,
    golden: FeatureBatch,
    provenance: Provenance,
    documents: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Writes a fitted method and all it needs into a folder; the manifest comes last.

    Args:
        folder: made if missing; must be empty.
        recommender: a fitted method.
        autoencoder: of the explanation codes; None if the method was trained without texts.
        golden: some real pairs; their scores are recorded and replayed before serving.
        provenance: hashes, prompts, models, metrics.
        documents: further files by name, such as the run card.

    Returns:
        The manifest.

    Raises:
        ReleaseError: the folder is not empty, or a golden score is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ReleaseError(f"The folder {folder} is not empty.", remedy="Save the artifact into a new folder.")
    recommender.save(folder)
    for name, content in (documents or {}).items():
        (folder / name).write_bytes(content)
    if autoencoder is not None:
        (folder / "autoencoder").mkdir()
        autoencoder.save(folder / "autoencoder")
    _write_json(folder / "prompts.json", provenance.prompts)
    _write_json(
        folder / "config.json",
        {
            "method": recommender.name,
            "config": recommender.config.model_dump(mode="json"),
            "scale": asdict(recommender.scale),
        },
    )
    _write_golden(folder, golden, recommender.score(golden))
    files = {name: _entry(folder / name) for name in _file_names(folder)}
    manifest = Manifest(format=FORMAT, method=recommender.name, files=files, provenance=provenance)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    return manifest


def load_artifact(folder: Path) -> Artifact:
    """Reads an artifact after checking every file against the manifest.

    Raises:
        ReleaseError: a file is missing, added, changed or unreadable, a weight is not finite, or the parts do not
            fit together.
    """
    manifest = read_manifest(folder)
    _verify(folder, manifest)
    try:
        content = json.loads((folder / "config.json").read_text())
        method = find_method(content["method"])
        config = method.config_type.model_validate(content["config"])
        recommender = method.load(folder, config, RatingScale(**content["scale"]))
        has_autoencoder = (folder / "autoencoder").is_dir()
        autoencoder = Autoencoder.load(folder / "autoencoder") if has_autoencoder else None
        golden = _read_golden(folder)
    except ReleaseError:
        raise
    except (OSError, ValueError, KeyError, TypeError, CounterpointError) as error:
        raise ReleaseError(
            f"The artifact in {folder} cannot be loaded: {error}.", remedy="Train and save it again."
        ) from error
    return Artifact(recommender, autoencoder, manifest, golden)


def replay_golden(artifact: Artifact) -> float:
    """Scores the golden batch again and returns the largest move. Raises ReleaseError beyond `TOLERANCE`."""
    scores, golden = artifact.recommender.score(artifact.golden.batch), artifact.golden
    moves = np.abs(np.stack([scores.rating - golden.rating, scores.click - golden.click]))
    largest = float(moves.max()) if moves.size else 0.0
    if not largest <= TOLERANCE:  # also true for NaN
        raise ReleaseError(
            f"A golden example's score moved by {largest:.2g}.",
            f"It may move by at most {TOLERANCE:g} from what was recorded at training.",
            "Serve with the library versions it was trained with, or train it again.",
        )
    return largest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact's folder. Raises ReleaseError if it is missing, damaged or of another format."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"The manifest in {folder} cannot be read: {error}.") from error
    if manifest.format != FORMAT:
        raise ReleaseError(f"The artifact in {folder} has format {manifest.format}.", f"This code reads {FORMAT}.")
    return manifest


def _verify(folder: Path, manifest: Manifest) -> None:
    """Raises ReleaseError unless the folder holds exactly the manifest's files, with finite weights."""
    found, expected = set(_file_names(folder)), set(manifest.files)
    if found != expected:
        raise ReleaseError(
            f"The artifact in {folder} lacks {sorted(expected - found)} and has unexpected {sorted(found - expected)}.",
            "It must hold exactly the files of its manifest.",
        )
    for name, entry in manifest.files.items():
        if _entry(folder / name) != entry:
            raise ReleaseError(
                f"The file {name} of the artifact in {folder} is not the one that was saved.",
                f"Its sha256 must be {entry.sha256}.",
                "Copy the artifact again from where it was trained.",
            )
        if name.endswith(("weights.safetensors", "autoencoder.safetensors")):
            _check_finite(folder / name)


def _check_finite(path: Path) -> None:
    """Raises ReleaseError if a weight is NaN or infinite."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        bad = [name for name, values in load_file(path).items() if not np.isfinite(values).all()]
    except SafetensorError as error:
        raise ReleaseError(f"The weights in {path} cannot be read: {error}.") from error
    if bad:
        raise ReleaseError(
            f"The weights {', '.join(bad)} in {path} are not finite.", remedy="Train again; lower learning_rate."
        )


def _file_names(folder: Path) -> list[str]:
    """Every file but the manifest, as sorted paths relative to the folder."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in paths if name != MANIFEST)


def _entry(path: Path) -> FileEntry:
    content = path.read_bytes()
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True))


def _write_golden(folder: Path, batch: FeatureBatch, scores: Scores) -> None:
    """Batch and scores: arrays as safetensors, ids as JSON. Raises ReleaseError if a score is not finite."""
    from safetensors.numpy import save_file

    if not (np.isfinite(scores.rating).all() and np.isfinite(scores.click).all()):
        raise ReleaseError("A golden example has no finite score.", remedy="Choose pairs the method can score.")
    arrays, ids = batch_to_parts(batch)
    save_file({**arrays, "score.rating": scores.rating, "score.click": scores.click}, folder / "golden.safetensors")
    _write_json(folder / "golden.json", ids)


def _read_golden(folder: Path) -> Golden:
    from safetensors.numpy import load_file

    arrays = load_file(folder / "golden.safetensors")
    rating, click = arrays.pop("score.rating"), arrays.pop("score.click")
    return Golden(batch_from_parts(arrays, json.loads((folder / "golden.json").read_text())), rating, click)


def batch_to_parts(batch: FeatureBatch) -> tuple[dict[str, NDArray[Any]], dict[str, list[Any]]]:
    """A batch as named arrays and as lists of ids; only the used rows of its tables are kept."""
    who, what = batch.consumers, batch.products
    arrays: dict[str, NDArray[Any]] = {
        "consumer.numeric": who.numeric,
        "consumer.history_ratings": who.history_ratings,
        "product.numeric": what.numeric,
        "as_of": batch.as_of.astype("datetime64[us]").astype(np.int64),
    }
    for name, indexed in _indexed(batch).items():
        kept = _compact(indexed)
        arrays[f"{name}.table"], arrays[f"{name}.index"] = kept.table, kept.index
    ids = {
        "consumer_ids": who.consumer_ids.tolist(),
        "history_ids": who.history_ids.tolist(),
        "product_ids": what.product_ids.tolist(),
        "consumer_attributes": [list(values) for values in who.attributes],
        "attributes": [list(values) for values in what.attributes],
    }
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}, ids


def batch_from_parts(arrays: dict[str, NDArray[Any]], ids: dict[str, list[Any]]) -> FeatureBatch:
    """The batch that `batch_to_parts` took apart."""

    def indexed(name: str) -> Indexed:
        return Indexed(arrays[f"{name}.table"], arrays[f"{name}.index"])

    ratings = arrays["consumer.history_ratings"]
    return FeatureBatch(
        ConsumerBlock(
            np.array(ids["consumer_ids"], object),
            arrays["consumer.numeric"],
            tuples(ids["consumer_attributes"]),
            np.array(ids["history_ids"], object).reshape(ratings.shape),
            ratings,
            indexed("consumer.facet_codes"),
            indexed("consumer.facet_weights"),
        ),
        ProductBlock(
            np.array(ids["product_ids"], object),
            arrays["product.numeric"],
            tuples(ids["attributes"]),
            indexed("product.content"),
            indexed("product.facet_codes"),
            indexed("product.facet_weights"),
        ),
        PairBlock(indexed("pair.codes")),
        arrays["as_of"].astype("datetime64[us]"),
    )


def _indexed(batch: FeatureBatch) -> dict[str, Indexed]:
    """The blocks of a batch that hold repeated rows once."""
    return {
        "consumer.facet_codes": batch.consumers.facet_codes,
        "consumer.facet_weights": batch.consumers.facet_weights,
        "product.content": batch.products.content,
        "product.facet_codes": batch.products.facet_codes,
        "product.facet_weights": batch.products.facet_weights,
        "pair.codes": batch.pairs.codes,
    }


def _compact(indexed: Indexed) -> Indexed:
    """Only the used rows, renumbered."""
    used, place = np.unique(indexed.index, return_inverse=True)
    present = used[used >= 0]
    return Indexed(indexed.table[present], (place - (len(used) - len(present))).astype(np.int32))
