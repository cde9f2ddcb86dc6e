"""The service over HTTP, as a process of its own, on a tiny real release."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from features.assemble import consumer_block, cross, pair_block, product_block
from features.settings import HostSettings
from features.store import FeatureRows
from models.release import ReleaseStore
from services.schemas import InsightsResponse, RecommendResponse, ScoreResponse

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SERVICE = "services.recommend:RecommendService"
START_SECONDS = 120


def environment(settings: HostSettings) -> dict[str, str]:
    stores = {"COUNTERPOINT_HOME": str(settings.home), "BENTOML_HOME": str(settings.bentoml)}
    stores |= {"COUNTERPOINT_STORE_TIMEOUT": "10", "COUNTERPOINT_DRAIN": "0"}  # patient, as the machine may be busy
    return {**os.environ, **stores, "BENTOML_DO_NOT_TRACK": "True", "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def serving(target: str, settings: HostSettings, folder: Path) -> Iterator[str]:
    """Runs `bentoml serve` in a folder until the block ends; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    log = settings.home / f"serve-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(settings), stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url, process, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    pytest.fail(f"The service did not become ready:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="module")
def client(tiny_release: HostSettings) -> Iterator[httpx.Client]:
    with serving(SERVICE, tiny_release, ROOT) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def post(client: httpx.Client, path: str, body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_served_scores_are_those_of_the_recommender_on_the_same_rows(
    client: httpx.Client, tiny_release: HostSettings, artifact_folder: Path
) -> None:
    from models.artifact import load_artifact

    product_ids = [f"p{i}" for i in range(20)]
    answer = ScoreResponse.model_validate(post(client, "/v1/score", {"consumer_id": "c0", "product_ids": product_ids}))
    rows = FeatureRows(tiny_release)
    batch = cross(
        consumer_block(rows.online_consumers(["c0"])),
        product_block(rows.online_products(product_ids)),
        pair_block(rows.online_pairs("c0", product_ids)),
        answer.answered_at,
    )
    assert (batch.pairs.codes.index >= 0).sum() == 1
    expected = load_artifact(artifact_folder).recommender.score(batch)
    np.testing.assert_allclose([item.rating for item in answer.items], expected.rating, atol=1e-6)
    np.testing.assert_allclose([item.click for item in answer.items], expected.click, atol=1e-6)
    shares = [[field.share for field in item.attention] for item in answer.items]
    np.testing.assert_allclose(shares, expected.attention, atol=1e-6)
    assert len(set(expected.rating.tolist())) > 10


def test_recommendations_leave_out_what_was_seen_and_argue_both_sides(client: httpx.Client) -> None:
    answer = RecommendResponse.model_validate(post(client, "/v1/recommend", {"consumer_id": "c0", "k": 5}))
    assert len(answer.items) == 5
    assert not {item.product_id for item in answer.items} & {f"p{i}" for i in range(10)}
    clicks = [item.click for item in answer.items]
    assert clicks == sorted(clicks, reverse=True)
    assert all([reason.stance for reason in item.reasons] == ["for", "against"] for item in answer.items)
    assert not answer.degraded
    assert answer.evidence_time is not None


def test_wishes_are_followed_and_disclosed(client: httpx.Client) -> None:
    even = {"op": "eq", "attribute": "parity", "value": "even"}
    wishes = {
        "filter": {"op": "or", "rules": [even, {"op": "contains", "attribute": "title", "text": "p15"}]},
        "boosts": [{"rule": even, "by": 10}],
        "pins": [{"product_ids": ["p15"], "rank": 2}],
        "diversity": {"lambda": 0.5},
        "contributions": True,
    }
    answer = RecommendResponse.model_validate(post(client, "/v1/recommend", {"consumer_id": "c0", "k": 4, **wishes}))
    assert not answer.degraded
    assert answer.items[1].product_id == "p15"
    assert "pin" in answer.items[1].moved_by
    assert {item.product_id for item in answer.items} <= {"p10", "p12", "p14", "p15", "p16", "p18"}
    assert any(part.click for part in answer.items[0].contributions if part.part == "product")


def test_an_unknown_attribute_is_a_problem_of_the_caller(client: httpx.Client) -> None:
    wish = {"filter": {"op": "eq", "attribute": "colour", "value": "red"}}
    answer = client.post("/v1/recommend", json=wish)
    assert answer.status_code == 422, answer.text
    assert "parity, title" in answer.json()["expected"]


def test_feedback_is_kept_once_and_known_at_once(client: httpx.Client) -> None:
    first = post(client, "/v1/recommend", {"consumer_id": "newcomer", "k": 1})
    best = first["items"][0]["product_id"]
    rating = {"feedback_id": "f1", "consumer_id": "newcomer", "product_id": best, "rating": 5}
    rating["recommendation_id"] = first["recommendation_id"]
    assert [post(client, "/v1/feedback", rating)["stored"] for _ in range(2)] == [True, False]
    second = post(client, "/v1/recommend", {"consumer_id": "newcomer", "k": 20})
    assert (first["cold"], second["cold"], second["degraded"]) == (True, False, False)
    assert best not in {item["product_id"] for item in second["items"]}
    assert client.post("/v1/feedback", json={**rating, "rating": 1}).status_code == 422
    assert client.post("/v1/feedback", json={**rating, "product_id": "gone"}).status_code == 422


def test_a_product_page_says_what_speaks_for_and_against_it(client: httpx.Client) -> None:
    answer = client.get("/v1/products/p16/insights")
    assert answer.status_code == 200, answer.text
    insights = InsightsResponse.model_validate(answer.json())
    assert {argument.stance for argument in insights.arguments} == {"for", "against"}
    assert insights.title == "Title p16"
    assert client.get("/v1/products/nothing/insights").status_code == 404
    assert client.post("/v1/products/p16/insights", json={}).status_code == 405


def test_a_forgotten_consumer_is_a_stranger_from_then_on(client: httpx.Client) -> None:
    assert not post(client, "/v1/recommend", {"consumer_id": "c11", "k": 1})["cold"]
    for _ in range(2):
        answer = client.delete("/v1/consumers/c11")
        assert answer.status_code == 200, answer.text
        assert answer.json()["remaining"]
    assert post(client, "/v1/recommend", {"consumer_id": "c11", "k": 1})["cold"]
    assert post(client, "/v1/score", {"consumer_id": "c11", "product_ids": ["p1"]})["evidence_time"] is None


def test_explanations_carry_the_facts_behind_them(client: httpx.Client) -> None:
    written = post(client, "/v1/explain", {"consumer_id": "c0", "product_id": "p15"})["reasons"]
    assert written[0]["text"] == "Written for c1 and p2."
    assert written[0]["facts"][0]["text"] == "Text of f2."
    composed = post(client, "/v1/explain", {"consumer_id": "c0", "product_id": "p16"})["reasons"]
    assert {reason["granularity"] for reason in composed} <= {"entity", "none"}


def test_strangers_are_answered(client: httpx.Client) -> None:
    answer = post(client, "/v1/recommend", {"consumer_id": "stranger", "k": 3})
    assert (answer["cold"], answer["degraded"], len(answer["items"])) == (True, False, 3)
    answer = post(client, "/v1/recommend", {"history": [{"product_id": "p0", "rating": 5}], "k": 20})
    assert not answer["cold"]
    assert "p0" not in {item["product_id"] for item in answer["items"]}
    answer = post(client, "/v1/score", {"consumer_id": "c0", "product_ids": ["nothing", "p1"]})
    assert [item["note"] for item in answer["items"]] == ["unknown product", None]
    assert answer["items"][0]["rating"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommend", b"{"),
        ("/v1/recommend", b"[]"),
        ("/v1/recommend", b'{"k": 0}'),
        ("/v1/recommend", b'{"k": 101}'),
        ("/v1/recommend", b'{"k": "x"}'),
        ("/v1/recommend", b'{"colour": 1}'),
        ("/v1/recommend", b'{"filter": {"op": "eval", "attribute": "parity", "value": "even"}}'),
        ("/v1/recommend", b'{"explanations": "spoken"}'),
        ("/v1/recommend", b'{"consumer_id": "c0", "history": []}'),
        ("/v1/recommend", b'{"consumer_id": "\\ud800"}'),
        ("/v1/score", b"{}"),
        ("/v1/score", b'{"consumer_id": "c0", "product_ids": []}'),
        ("/v1/score", b'{"consumer_id": "c0", "product_ids": ["' + b'p", "' * 1000 + b'p"]}'),
        ("/v1/score", b'{"consumer_id": null, "product_ids": ["p1"]}'),
        ("/v1/explain", b'{"consumer_id": "c0", "product_id": ""}'),
        ("/v1/explain", b"\xff\xfe"),
    ],
)
def test_a_body_that_cannot_be_used_is_a_problem_of_the_caller(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_odd_but_valid_ids_are_answered(client: httpx.Client) -> None:
    for consumer_id in ("\x00", "'; drop table x; --", "ü" * 256, "../..", "c0\n"):
        assert post(client, "/v1/recommend", {"consumer_id": consumer_id, "k": 1})["cold"]


def test_own_words_change_the_scores_and_stay_out_of_the_log(client: httpx.Client, tiny_release: HostSettings) -> None:
    words, asked = "Marzipan from Zanzibar", {"consumer_id": "c0", "k": 5, "explanations": "none"}
    said = {**asked, "new_facets": [{"stance": "for", "text": words}]}
    before, after = (post(client, "/v1/recommend", body)["items"] for body in (asked, said))
    assert {it["product_id"]: it["click"] for it in before} != {it["product_id"]: it["click"] for it in after}
    no_place = {**asked, "new_facets": [{"stance": "for", "text": words}] * 4}
    refused = client.post("/v1/recommend", json=no_place)
    assert (refused.status_code, "no place for the new facet 4" in refused.json()["detail"]) == (422, True)
    too_long = {**asked, "new_facets": [{"stance": "for", "text": words * 20}]}
    assert client.post("/v1/recommend", json=too_long).status_code == 400
    log = "".join(path.read_text() for path in tiny_release.home.glob("serve-*.log"))
    assert "route=/v1/recommend status=422" in log
    assert words not in log


@pytest.mark.parametrize("media_type", ["text/plain", "application/vnd.bentoml+pickle", "multipart/form-data"])
def test_other_media_types_are_refused(client: httpx.Client, media_type: str) -> None:
    assert client.post("/v1/score", content=b"{}", headers={"content-type": media_type}).status_code == 415


def test_long_bodies_and_wrong_methods_and_paths_are_refused(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    assert client.post("/v1/score", content=b" " * 1_000_001, headers=headers).status_code == 413
    assert client.get("/v1/score").status_code == 405
    assert client.post("/v1/nothing", json={}).status_code == 404


def test_health_metrics_and_documentation_are_there(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert "counterpoint_requests_total" in client.get("/metrics").text
    assert client.get("/v1/status").json()["live_release"] == "tiny-1"
    paths = client.get("/docs.json").json()["paths"]
    assert {"/v1/recommend", "/v1/score", "/v1/explain"} <= set(paths)


# docs/serving.md

PAGE = ROOT / "docs" / "serving.md"
EXAMPLE = re.compile(r"```http\n(\w+) (\S+)\n(.*?)```\n\n```json\n(.*?)```", re.DOTALL)


def page_examples() -> list[Any]:
    found = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
    return [
        pytest.param(method, path, body.strip(), json.loads(shown), id=f"{n} {method} {path}")
        for n, (method, path, body, shown) in enumerate(found)
    ]


def shown_paths(shown: Any, at: str = "") -> Iterator[str]:
    """Where the page shows a value; of a list, its first element stands for all."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            yield f"{at}/{key}"
            yield from shown_paths(value, f"{at}/{key}")
    elif isinstance(shown, list) and shown:
        yield from shown_paths(shown[0], f"{at}/0")


def test_every_endpoint_has_an_example_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(page_examples()) == page.count("```http") == page.count("```json")
    paths = {(str(it.values[0]), str(it.values[1]).partition("?")[0]) for it in page_examples()}
    routes = {(method, re.sub(r"[pc]\d+", "{}", path)) for method, path in paths}
    posts = {("POST", f"/v1/{name}") for name in ("recommend", "score", "explain", "feedback")}
    consumers = {("GET", "/v1/consumers"), ("GET", "/v1/consumers/{}"), ("DELETE", "/v1/consumers/{}")}
    assert routes == posts | consumers | {("GET", "/v1/products/{}/insights")}


@pytest.mark.parametrize(("method", "path", "body", "shown"), page_examples())
def test_an_example_of_the_page_is_answered_as_shown(
    client: httpx.Client, method: str, path: str, body: str, shown: Any
) -> None:
    headers = {"content-type": "application/json"} if body else {}
    answer = client.request(method, path, content=body or None, headers=headers)
    assert answer.status_code == 200, answer.text
    assert set(shown_paths(shown)) <= set(shown_paths(answer.json()))
    assert not answer.json().get("degraded")


def test_a_promotion_is_followed_without_a_restart(client: httpx.Client, tiny_release: HostSettings) -> None:
    store = ReleaseStore(tiny_release.releases)
    live = store.live()
    assert live is not None
    second = live.model_copy(update={"release_id": "tiny-2"})
    store.publish(second, store.read_texts(live))
    for release_id, change in (("tiny-2", lambda: store.promote("tiny-2")), ("tiny-1", store.rollback)):
        change()
        wait_for_release(client, release_id)


def wait_for_release(client: httpx.Client, release_id: str) -> None:
    deadline = time.monotonic() + 30
    while (found := post(client, "/v1/recommend", {"k": 1})["release_id"]) != release_id:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_a_bento_built_from_the_repository_serves_from_elsewhere(tiny_release: HostSettings, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "bentoml", "build", "--version", "v1", str(ROOT)]
    done = subprocess.run(build, cwd=ROOT, env=environment(tiny_release), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    live = ReleaseStore(tiny_release.releases).live()
    assert live is not None
    assert live.artifact_tag in (tiny_release.bentoml / "bentos" / "counterpoint" / "v1" / "bento.yaml").read_text()
    with (
        serving("counterpoint:v1", tiny_release, tmp_path) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert len(post(client, "/v1/recommend", {"consumer_id": "c0", "k": 2})["items"]) == 2
