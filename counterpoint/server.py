"""Starting and stopping the BentoML service as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from features.errors import CounterpointError, SettingError
from features.settings import HostSettings, ServeSettings
from models.released import live_release

SERVICE = "services.recommend:RecommendService"
ROOT = Path(__file__).resolve().parent.parent


def serve_here(settings: HostSettings, host: str, port: int, workers: int = 1) -> None:
    """Replaces this process by the server.

    Args:
        settings: of the home whose live release is served.
        host: address to listen on.
        port: to listen on.
        workers: processes that answer, each with the products in its own memory.

    Raises:
        ReleaseError: nothing was released yet.
        SettingError: a setting of the service is wrong, or it would listen to others without asking for keys.
    """
    _require_keys(host)
    live_release(settings.releases)
    os.chdir(ROOT)
    command = _command(host, port)
    os.execvpe(command[0], command, _environment(settings, workers))


@contextmanager
def running_service(settings: HostSettings, log: Path, patience: float = 90.0, workers: int = 1) -> Iterator[str]:
    """Runs the service on a free port for the duration of a `with` block; gives its base URL.

    Raises CounterpointError if it is not ready in time, naming the log file.
    """
    live_release(settings.releases)
    with running(lambda port: _command("127.0.0.1", port), _environment(settings, workers), log, patience) as url:
        yield url


@contextmanager
def running(
    command: Callable[[int], list[str]], environment: Mapping[str, str], log: Path, patience: float = 90.0
) -> Iterator[str]:
    """Runs a server on a free port for the duration of a `with` block; gives its base URL once /readyz says so.

    Args:
        command: that listens on a port.
        environment: its own.
        log: where its output goes.
        patience: seconds until it must be ready.

    Raises CounterpointError if it is not ready in time, naming the log file.
    """
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(port), cwd=ROOT, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, log, patience)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _require_keys(host: str) -> None:
    from services.access import is_loopback
    from services.keys import KeyFile

    if not is_loopback(host) and not KeyFile(ServeSettings.from_environment().keys).exists:
        raise SettingError(
            f"The service would listen on {host}, but there are no API keys.",
            "Without keys it listens on a loopback address.",
            "Make one first: counterpoint keys new NAME --role serve.",
        )


def _command(host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", host, "--port", str(port)]


def _environment(settings: HostSettings, workers: int) -> dict[str, str]:
    given = os.environ.get("BENTOML_CONFIG_OPTIONS", "")
    options = f"{given} services.counterpoint.workers={workers}".strip() if workers > 1 else given
    return {
        **os.environ,
        **({"BENTOML_CONFIG_OPTIONS": options} if options else {}),
        "COUNTERPOINT_HOME": str(settings.home),
        "COUNTERPOINT_ONLINE_STORE": settings.online_store,
        "COUNTERPOINT_REDIS": settings.redis_url,
        "BENTOML_HOME": str(settings.bentoml),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, patience: float) -> None:
    import httpx

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    state = "exited" if process.poll() is not None else f"was not ready after {patience:.0f} s"
    raise CounterpointError(f"The service {state}.", remedy=f"Its log is {log}.")
