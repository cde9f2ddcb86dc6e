"""A Redis server of its own on loopback, that can be held, killed and started again. Shared by the proofs."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RedisServer:
    """Writes everything to a file, so that it comes back with what it had."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self._folder = folder
        self.start()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = ["redis-server", "--port", self._port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        ping = ["redis-cli", "-p", self._port, "ping"]
        while b"PONG" not in subprocess.run(ping, capture_output=True, check=False).stdout:
            time.sleep(0.05)

    def kill(self) -> None:
        """Stops it without a word: its port refuses connections."""
        self._process.kill()
        self._process.wait()

    def hold(self) -> None:
        """Leaves it alive and silent: connections are taken and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def release(self) -> None:
        """Lets it go on."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A server for the duration of a `with`; its file lies in the folder."""
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.release()
        server.kill()
