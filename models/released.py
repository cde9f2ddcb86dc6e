"""The model of a release, opened from its artifact's folder and proven to be the one that was released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import ReleaseError
from models.release import Release, ReleaseStore

if TYPE_CHECKING:
    from models.artifact import Artifact


def live_release(folder: Path) -> Release:
    """The release that is live among those in a folder. Raises ReleaseError if none is."""
    release = ReleaseStore(folder).live()
    if release is None:
        raise ReleaseError(f"No release is live in {folder}.", remedy="Make one with `counterpoint run` first.")
    return release


def open_artifact(folder: Path, release: Release) -> Artifact:
    """The release's artifact. Raises ReleaseError if it is not the one that was released or scores differently."""
    from models.artifact import load_artifact, replay_golden

    artifact = load_artifact(folder)
    if artifact.manifest.artifact_hash != release.artifact_hash:
        raise ReleaseError(
            f"The artifact at {folder} has the hash {artifact.manifest.artifact_hash}.",
            f"The release {release.release_id} was made with {release.artifact_hash}.",
            "Make BENTOML_HOME point at the model store of that release.",
        )
    replay_golden(artifact)
    return artifact
