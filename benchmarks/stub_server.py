"""An OpenAI-compatible chat server on loopback that counts what it is asked and fails as it is told.

Shared by the tests and the proofs. It is no language model: its answers are played from a list, or made by a function
of the call.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Body = dict[str, Any]
"""A call as it was sent: the parsed JSON of a chat completion request."""
DRIP_BYTES = 16
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a TCP reset in place of a farewell."""


@dataclass
class Reply:
    """What the server does with one call."""

    content: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    """Sent as it is, in place of a chat completion."""
    finish: str = "stop"
    refusal: str | None = None
    delay: float = 0.0
    """Seconds until anything is sent; a client that hangs up before is not waited for."""
    drip: float = 0.0
    """Seconds between two parts of the answer."""
    hang_up: bool = False
    """Close the connection without a word."""
    reset: bool = False
    """Break the connection off, as a host does that crashed."""
    cut: bool = False
    """Close the connection in the middle of the answer."""
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7})

    def text(self) -> str:
        """The body of the answer."""
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": "stub", "code": "stub"}})
        message = {"role": "assistant", "content": self.content, "refusal": self.refusal}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        answer = {"model": "stub-2026", "system_fingerprint": "fp_1", "choices": [choice], "usage": self.usage}
        return json.dumps(answer)


class StubServer(ThreadingHTTPServer):
    """Serves from a port of its own inside a `with`.

    Args:
        script: replies that are played in order, the last one for ever; or a function of the call.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: Sequence[Reply] | Callable[[Body], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._script: list[Reply] | Callable[[Body], Reply] = script if callable(script) else list(script)
        self.lock = threading.Lock()
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.calls: Counter[str] = Counter()
        """How often each prompt was asked, by its first line."""
        self.answers: defaultdict[str, list[str]] = defaultdict(list)
        """The contents that were sent in full, by the prompt's first line."""
        self.most_at_once = 0
        self._open_calls: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection; one that is to be reset without saying goodbye first."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(ABORT)) == ABORT:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or gave up, breaks its connections; that is no error here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def take(self, body: Body, headers: dict[str, str], path: str, connection: socket.socket) -> Reply:
        """Counts a call and says what to do with it."""
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self.paths.append(path)
            self.calls[asked_for(body)] += 1
            self._open_calls = {call for call in self._open_calls if not hung_up(call)} | {connection}
            self.most_at_once = max(self.most_at_once, len(self._open_calls))
            if callable(self._script):
                return self._script(body)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def end(self, connection: socket.socket) -> None:
        """Counts a call as over."""
        with self.lock:
            self._open_calls.discard(connection)


def hung_up(connection: socket.socket, wait: float = 0.0) -> bool:
    """Whether the client closes the connection within some seconds. It sends nothing while it waits for an answer."""
    try:
        return bool(select.select([connection], [], [], wait)[0])
    except (OSError, ValueError):  # closed on this side
        return True


def asked_for(body: Body) -> str:
    """The first line of what the user says, by which calls are counted: tests give every request its own."""
    return str(body["messages"][-1]["content"]).partition("\n")[0]


class _Handler(BaseHTTPRequestHandler):
    server: StubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with keep-alive, small writes would wait for the client's delayed ACKs
    wbufsize = -1

    def do_POST(self) -> None:
        stub, sent = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        if len(sent) < int(self.headers["Content-Length"]):  # the client was killed while it wrote
            self.close_connection = True
            return
        body = json.loads(sent)
        reply = stub.take(body, dict(self.headers), self.path, self.connection)
        gone = hung_up(self.connection, reply.delay) if reply.delay else False
        stub.end(self.connection)
        if gone or reply.hang_up or reply.reset:
            self.close_connection = True
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return
        try:
            self._send(reply)
        except (BrokenPipeError, ConnectionResetError):  # the client's time was up, or it was killed
            self.close_connection = True
            return
        if reply.status == 200 and not reply.cut:
            with stub.lock:
                stub.answers[asked_for(body)].append(reply.content or "")

    def _send(self, reply: Reply) -> None:
        data = reply.text().encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        data = data[: len(data) // 2] if reply.cut else data
        size = DRIP_BYTES if reply.drip else max(len(data), 1)
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            self.wfile.flush()
            if reply.drip and hung_up(self.connection, reply.drip):
                break
        self.close_connection = self.close_connection or reply.cut

    def log_message(self, *args: object) -> None:
        """Keeps the output quiet."""
