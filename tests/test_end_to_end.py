"""Own data to served reasons, through the command line and every real part: Prefect, GX, the model, Feast, BentoML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from counterpoint.server import running_service
from features.readers.world import WorldConfig, generate_world, write_world
from features.settings import HostSettings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


def counterpoint(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COUNTERPOINT_HOME": str(home)}
    command = [sys.executable, "-m", "counterpoint", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a small shop's own CSV files were run, with the real embedded language model."""
    folder, home = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("home")
    write_world(generate_world(WorldConfig(n_consumers=24, n_products=16, n_interactions=150)), folder)
    files = ("--interactions", str(folder / "interactions.csv"), "--catalog", str(folder / "catalog.csv"))
    done = counterpoint(home, "run", *files, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["release_id"]
    return home


def test_a_second_run_finds_everything_done(home: Path) -> None:
    started = time.monotonic()
    again = counterpoint(home, "run", "--json")
    assert again.returncode == 0, again.stderr[-3000:]
    stages = json.loads(counterpoint(home, "status", "--json").stdout)["stages"]
    assert [stage["found_done"] for stage in stages] == [True] * 6
    assert time.monotonic() - started < 120


def test_recommendations_argue_both_sides_with_facts(home: Path) -> None:
    consumer = generate_world(WorldConfig(n_consumers=24, n_products=16, n_interactions=150))
    consumer_id = str(consumer.dataset.interactions.frame["consumer_id"].iloc[0])
    answer = json.loads(counterpoint(home, "recommend", consumer_id, "-k", "3", "--json").stdout)
    assert len(answer["items"]) == 3
    for item in answer["items"]:
        assert [reason["stance"] for reason in item["reasons"]] == ["for", "against"]
        assert 1 <= item["rating"] <= 5
        for reason in item["reasons"]:
            assert len(reason["facts"]) == len(reason["fact_ids"])
            assert reason["fact_ids"] or reason["granularity"] == "none"


def test_what_is_published_is_judged_beside_texts_that_know_nothing(home: Path) -> None:
    done = counterpoint(home, "evaluate-explanations", "--pairs", "15", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    judged = json.loads(done.stdout)
    assert list(judged["metrics"]) == ["published", "template", "shuffled", "random"]
    held = {name: metrics["grounded"]["value"] for name, metrics in judged["metrics"].items()}
    assert held["published"] > 0.9 > held["shuffled"]
    assert held["template"] == 1.0
    assert "deletion/cited" in judged["metrics"]["published"]
    assert Path(judged["plot"]).exists()
    told = json.loads(counterpoint(home, "card", "--json").stdout)["explanations"]["judged"]
    assert told["metrics"]["grounded"]["value"] == held["published"]


def test_the_live_release_has_cards_and_its_artifact_the_run_card(home: Path) -> None:
    cards = json.loads(counterpoint(home, "card", "--json").stdout)
    (written,) = home.glob("bentoml/models/counterpoint/*/artifact/run_card.json")
    run = cards["model"]["run"]
    assert run["fits"] == json.loads(written.read_text())["fits"]
    files = json.loads((written.parent / "manifest.json").read_text())["files"]
    assert {"run_card.json", "run_card.md", "curves.png"} < set(files)
    assert (
        run["cost"]["ledger"]["calls"] == json.loads(counterpoint(home, "status", "--json").stdout)["ledger"]["answers"]
    )
    said = cards["explanations"]
    assert f"worded by `{said['language_model']}`" in counterpoint(home, "card", cards["model"]["release_id"]).stdout
    unknown = counterpoint(home, "card", "no-such-release")
    assert unknown.returncode == 1
    assert cards["model"]["release_id"] in unknown.stderr


def test_everyone_is_scored_in_bulk(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    done = counterpoint(home, "score", "--consumers", "all", "--k", "2", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["rows"] == 2 * report["consumers"] == len(out.read_text().splitlines()) - 1


def test_the_service_answers_for_known_and_unknown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERPOINT_HOME", str(home))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    with running_service(HostSettings.from_environment(), home / "service.log") as url:
        stranger = httpx.post(f"{url}/v1/recommend", json={"consumer_id": "nobody", "k": 2}, timeout=60).json()
        assert stranger["cold"] is True
        assert len(stranger["items"]) == 2
        nonsense = httpx.post(f"{url}/v1/recommend", json={"consumer_id": 7}, timeout=60)
        assert 400 <= nonsense.status_code < 500


def test_bad_input_is_refused_without_a_traceback(tmp_path: Path) -> None:
    events, products = tmp_path / "events.csv", tmp_path / "products.csv"
    events.write_text("who,what\n1,2\n")
    products.write_text("product_id,title\n2,Lamp\n")
    done = counterpoint(tmp_path / "home", "run", "--interactions", str(events), "--catalog", str(products))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "who" in done.stderr
