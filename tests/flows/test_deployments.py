"""The deployments of deployments/prefect.yaml on a real Prefect server: a changed catalog comes online by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from benchmarks.stub_server import Body, Reply, StubServer
from features.store import FeatureRows

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def answered(body: Body) -> Reply:
    """Every line or claim that is asked for, in the form that is asked for."""
    asked = body["messages"][-1]["content"]
    rules = re.findall(r"^(?:Line|Claim) \d+ (.*?)begins with: (.*)$", asked, re.MULTILINE)
    texts = [f"{opening} what its maker says." for _, opening in rules]
    if "response_format" not in body:
        return Reply("\n".join(texts))
    claims = [
        {
            "text": text,
            "stance": (re.findall(r'stance "(\w+)"', rule) or [None])[0],
            "weight": 0.5,
            "cites": re.findall(r"rests on (\w+)", rule),
        }
        for text, (rule, _) in zip(texts, rules, strict=True)
    ]
    return Reply(json.dumps({"claims": claims}))


def wait_for(what: str, found: Callable[[], Any], seconds: float = 400) -> Any:
    """What `found` gives as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


class Prefect:
    """A server of its own on a free port and, once deployed, a worker; all they write is under `home`."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api", timeout=30)
        self.log = home / "prefect.log"
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": str(self.api.base_url),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLI_PROMPT": "false",
            "PYTHONPATH": str(ROOT),
            "PWD": str(ROOT),
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start("server", "start", "--host", "127.0.0.1", "--port", self.port)
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self.running):
            process.terminate()
            try:
                process.wait(30)  # a worker waits for its runs
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "prefect", *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.running.append(process)
        return process

    def deploy(self) -> None:
        wait_for("the server's start", lambda: self.answers("/health"))
        self.start("worker", "start", "--pool", "local", "--type", "process")
        wait_for("the work pool", lambda: self.answers("/work_pools/local"))
        file = str(ROOT / "deployments" / "prefect.yaml")
        assert self.start("deploy", "--all", "--prefect-file", file).wait(400) == 0, self.log.read_text()

    def answers(self, path: str) -> bool:
        try:
            return self.api.get(path).is_success
        except httpx.TransportError:
            return False

    def run(self, name: str) -> None:
        deployment = self.api.get(f"/deployments/name/{name}/{name}").json()["id"]
        self.api.post(f"/deployments/{deployment}/create_flow_run", json={}).raise_for_status()

    def triggered(self, name: str) -> dict[str, Any] | None:
        """The run of a flow that was started with parameters, as by a trigger, once it ended, well or not."""
        runs = self.api.post("/flow_runs/filter", json={"flows": {"name": {"any_": [name]}}}).json()
        return next((run for run in runs if run["end_time"] and run["parameters"]), None)


def test_a_change_of_the_catalog_comes_online_by_itself(new_shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, rest = new_shop, [f"p{n:02}" for n in range(2, 17)]
    with StubServer(answered) as stub:
        monkeypatch.setenv("COUNTERPOINT_LLM_URL", stub.url)
        monkeypatch.setenv("COUNTERPOINT_LLM_MODEL", "stub")
        with Prefect(shop.folder) as prefect:
            shop.run_once()
            prefect.deploy()
            asked, online, changed = len(stub.bodies), shop.online(rest), shop.online(["p01"])
            shop.describe("p01", "A theremin with a cracked antenna.")
            shop.drop("catalog", product_id=shop.quiet)
            prefect.run("detect_changes")
            run = wait_for("the triggered run", lambda: prefect.triggered("refresh_entities"))
            assert run["state_type"] == "COMPLETED", prefect.log.read_text()[-3000:]
    assert (run["parameters"]["change"]["changed"], run["parameters"]["change"]["removed"]) == (["p01"], [shop.quiet])
    new = stub.bodies[asked:]
    assert 1 <= len(new) <= 2  # the second time with the reason, where the first answer passed no gate
    assert all("theremin" in body["messages"][-1]["content"] for body in new)
    assert shop.online(rest) == online
    assert shop.online(["p01"])[1:] != changed[1:]
    store = FeatureRows(shop.workspace.settings)
    assert store.online_products([shop.quiet]).features.index.tolist() == [-1]
    assert shop.releases.live().model_of == "first"
