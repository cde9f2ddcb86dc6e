"""The guard in the real server: keys, documents and metrics over HTTP, and leaving without dropping anybody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.proofs.attack import Size, attack
from counterpoint.server import running_service
from features.settings import HostSettings
from services.access import ROUTES
from services.keys import KeyFile, Role

pytestmark = pytest.mark.slow


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "service.log"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyFile]:
    monkeypatch.setenv("COUNTERPOINT_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("COUNTERPOINT_STORE_TIMEOUT", "10")
    return KeyFile(tmp_path / "keys.json")


def test_the_service_keeps_to_its_keys_its_documents_and_its_discretion(
    keys: KeyFile, tiny_release: HostSettings, log: Path
) -> None:
    key = keys.new("shop", (Role.SERVE,))
    bearer = {"authorization": f"Bearer {key}"}
    with running_service(tiny_release, log) as url, httpx.Client(base_url=url, timeout=30) as client:
        body = {"consumer_id": "c0", "k": 2}
        assert client.post("/v1/recommend", json=body).status_code == 401
        served = client.post("/v1/recommend", json=body, headers={**bearer, "x-request-id": "mine"})
        assert (served.status_code, served.headers["x-request-id"]) == (200, "mine")
        assert not served.json()["degraded"]
        assert client.delete("/v1/consumers/secret-person", headers=bearer).status_code == 403
        refused = client.post("/v1/score", json={"consumer_id": "secret-person", "product_ids": 1}, headers=bearer)
        assert refused.json()["errors"][0]["field"] == "product_ids"

        documented = client.get("/docs.json").json()["paths"]
        operations = {(method.upper(), path) for path, methods in documented.items() for method in methods}
        assert operations <= {(route.method, _shaped(route.path, documented)) for route in ROUTES}

        counted = client.get("/metrics", headers=bearer).text
        assert 'counterpoint_requests_total{method="POST",route="/v1/recommend",status="200"} 1.0' in counted
        assert 'counterpoint_refusals_total{kind="unknown-caller"}' in counted
        assert 'counterpoint_store_reads_total{outcome="ok"} 2.0' in counted  # the consumer, and its pair text
        assert "secret-person" not in counted
    text = log.read_text()
    assert "route=/v1/recommend status=200" in text
    assert "request_id=mine" in text
    assert "secret-person" not in text
    assert "Traceback" not in text
    assert key not in text


def _shaped(path: str, documented: dict[str, Any]) -> str:
    """The documented path that a route's path with `{}` means."""
    shapes = {"/".join("{}" if part.startswith("{") else part for part in it.split("/")): it for it in documented}
    return shapes.get(path, path)


def test_readiness_ends_before_the_listener_closes_and_what_is_in_work_is_finished(
    keys: KeyFile, tiny_release: HostSettings, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERPOINT_DRAIN", "1.5")
    ready, answered, stop = list[int](), list[int](), threading.Event()

    def watch(url: str) -> None:
        """Asks for health and for a recommendation in turn until nobody listens."""
        while not stop.is_set():
            try:
                ready.append(httpx.get(f"{url}/readyz", timeout=10).status_code)
                answered.append(httpx.post(f"{url}/v1/recommend", json={"k": 1}, timeout=10).status_code)
            except httpx.TransportError:
                return
            time.sleep(0.02)

    with running_service(tiny_release, log) as url:
        watcher = threading.Thread(target=watch, args=(url,))
        watcher.start()
        time.sleep(0.5)
    stop.set()
    watcher.join()
    assert set(answered) == {200}
    assert ready == sorted(ready)
    assert 503 in ready


def test_several_processes_answer_as_one_service(keys: KeyFile, tiny_release: HostSettings, log: Path) -> None:
    with running_service(tiny_release, log, workers=2) as url:
        for _ in range(20):  # a new connection each, which the processes share
            assert httpx.post(f"{url}/v1/recommend", json={"k": 1}, timeout=30).status_code == 200
        counted = httpx.get(f"{url}/metrics", timeout=30).text
    assert 'counterpoint_requests_total{method="POST",route="/v1/recommend",status="200"} 20.0' in counted
    assert log.read_text().count("serving release tiny-1") == log.read_text().count("draining: not ready") == 2


def test_five_hundred_hostile_requests_break_nothing(
    tiny_release: HostSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make prove` sends 10,000, and judges the good requests' latency, which a shared machine's tests cannot."""
    monkeypatch.setenv("COUNTERPOINT_STORE_TIMEOUT", "10")
    found = attack(tiny_release, Size(n_hostile=500, turns=1, hostile_rate=50, rate=2, alone_seconds=2))
    assert found.n_hostile == 500
    assert (found.n_5xx, found.n_no_problem, found.n_tracebacks, found.n_good_failed) == (0, 0, 0, 0), found
    assert {"200", "400", "404", "405", "413", "415"} <= set(found.statuses), found.statuses
    assert len(found.kinds) >= 6
