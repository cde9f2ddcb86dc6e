"""The least that could answer: FastAPI around one read of the online store and one call of the model.

    python -m benchmarks.bare_server PORT

It serves the live release of COUNTERPOINT_HOME and is what `benchmarks/serving.py` compares the service with. It checks
nothing, explains nothing, counts nothing, follows no release and knows no caller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import typer
from pydantic import BaseModel

from counterpoint.server import running
from features.settings import HostSettings


class Asked(BaseModel):
    """What is scored."""

    consumer_id: str
    product_ids: list[str]


def main(port: int) -> None:
    """Answers until it is stopped."""
    import uvicorn
    from fastapi import FastAPI

    from models.release import ReleaseStore
    from models.released import open_artifact
    from services.recommend import artifact_folder
    from services.runtime import titles_of
    from services.sources import OnlineFeatures

    settings = HostSettings.from_environment()
    store = ReleaseStore(settings.releases)
    release = store.live()
    if release is None:
        raise SystemExit(f"No release is live in {settings.releases}.")
    recommender = open_artifact(artifact_folder(release.artifact_tag), release).recommender
    features, product_ids = OnlineFeatures(settings, release), list(titles_of(store.read_texts(release)))
    held = recommender.hold(features.products(product_ids))
    row = {product_id: n for n, product_id in enumerate(product_ids)}
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> None: ...

    @app.post("/v1/score")
    def score(asked: Asked) -> dict[str, list[float]]:
        rows = np.array([row[it] for it in asked.product_ids])
        scores = held.score(features.consumer(asked.consumer_id).block, rows, None, datetime.now(UTC))
        return {"rating": scores.rating.tolist(), "click": scores.click.tolist()}

    uvicorn.run(app, port=port, log_level="error", access_log=False)


@contextmanager
def running_bare_server(settings: HostSettings) -> Iterator[str]:
    """Runs it for the duration of a `with` block; gives its base URL."""
    environment = {**os.environ, "COUNTERPOINT_HOME": str(settings.home), "BENTOML_HOME": str(settings.bentoml)}
    with running(_command, environment, settings.home / "bare.log") as url:
        yield url


def _command(port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.bare_server", str(port)]


if __name__ == "__main__":
    typer.run(main)
