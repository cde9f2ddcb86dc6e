"""The guard around the service: every request passes it, in this order, and every answer leaves through it.

request id -> who calls (`access`) -> what the body is (`limits`) -> whether there is room (`pressure`) -> the service,
until its deadline. Whatever refuses, here or inside, is answered as a problem (`problems`); every answer carries the
request id and security headers, is counted (`metrics`), and leaves one line in the log that names no one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus

from features.settings import ServeSettings
from services.access import OPEN, Access, Route, route_of
from services.keys import KeyFile
from services.limits import App, Headers, Message, Receive, Scope, Send, checked_body, replay
from services.logs import set_up_logging
from services.metrics import metrics
from services.pages import MakePage, Page, metrics_page
from services.pressure import Drain, Places, closing, seconds_for, too_late
from services.problems import MEDIA_TYPE, Kind, Problem, Refusal, problem_of
from services.stages import keep_traces, request_span

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
MAX_ERROR = 65_536
"""Bytes of an inner error that are looked at."""
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
DEFAULTS: Headers = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""Headers that an answer may set otherwise."""
CHALLENGE = (b"www-authenticate", b"Bearer")


class Guard:
    """ASGI middleware around the whole service."""

    def __init__(
        self, app: App, settings: ServeSettings | None = None, pages: Callable[[], Mapping[str, MakePage]] = dict
    ) -> None:
        """Makes the guard of one process.

        Args:
            app: the service.
            settings: by default those of the environment.
            pages: gives what a GET of some paths answers, in place of the service.
        """
        settings = settings or ServeSettings.from_environment()
        keep_traces(settings.traces)
        self._app, self._deadline = app, settings.deadline
        self._pages = {"/metrics": metrics_page, **pages()}
        self._access = Access(KeyFile(settings.keys), settings.rate)
        self._places, self._drain = Places(settings.concurrency), Drain(settings.drain)
        self._entry = _with_cors(self._guarded, settings.cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] == "lifespan":
            set_up_logging()
            self._drain.install()
        await (self._entry if scope["type"] == "http" else self._app)(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, started = route_of(scope["method"], scope["path"]), time.perf_counter()
        answer = _Answer(scope, send, self._drain)
        with request_span(route.path, route.method or "other") as span:
            try:
                await self._pass(scope, receive, answer, route)
            except Refusal as refusal:
                await answer.problem(refusal.problem)
            except Exception:
                logger.exception("a request met an exception")
                await answer.problem(problem_of(HTTPStatus.INTERNAL_SERVER_ERROR, b""))
            finally:
                span.set_attribute("http.response.status_code", answer.status)
                _account(route, answer, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer, route: Route) -> None:
        self._access.admit(scope, route)
        if route.path == "/readyz":
            self._drain.check()
        if (page := self._pages.get(scope["path"])) and scope["method"] in ("GET", "HEAD"):
            await answer.page(await asyncio.to_thread(page))
            return
        seconds = seconds_for(scope, self._deadline)
        try:
            async with asyncio.timeout(seconds):
                body = await checked_body(scope, receive)
                if route.needs == OPEN:  # health must be answered when nothing else can be
                    await self._app(scope, replay(body, receive), answer.send)
                    return
                with self._places.one(), metrics().in_work.track_inprogress():
                    await self._app(scope, replay(body, receive), answer.send)
        except TimeoutError:
            raise too_late(seconds) from None


class _Answer:
    """Sends an answer on, with the headers that all have; what is an error becomes a problem first."""

    def __init__(self, scope: Scope, send: Send, drain: Drain) -> None:
        self._scope, self._send, self._drain = scope, send, drain
        self.request_id = _request_id(scope["headers"])
        self.status = 0
        """What was answered; 0 until then."""
        self.kind: Kind | None = None
        """What kind of problem it was, if it was one."""
        self._failed: int | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Stands in for the server's `send`."""
        if message["type"] == "http.response.start":
            if message["status"] >= HTTPStatus.BAD_REQUEST:
                self._failed = message["status"]
                return
            await self._start(message["status"], list(message.get("headers", [])))
            return
        if self._failed is None:
            await self._send(message)
            return
        self._body = (self._body + message.get("body", b""))[:MAX_ERROR]
        if not message.get("more_body"):
            await self.problem(problem_of(self._failed, self._body))

    async def problem(self, problem: Problem) -> None:
        """Answers with a problem, unless an answer was begun; then it stays cut off, which its reader notices."""
        if self.status:
            return
        self.kind = problem.kind
        members = problem.members(self._scope["path"], self.request_id.decode())
        headers: Headers = [CHALLENGE] if problem.kind is Kind.UNKNOWN_CALLER else []
        if problem.retry_after is not None:
            headers.append((b"retry-after", str(problem.retry_after).encode()))
        content = json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")
        await self.whole(content, MEDIA_TYPE, problem.kind.status, headers)

    async def page(self, page: Page) -> None:
        """Answers with a page."""
        headers = [(b"content-security-policy", page.policy.encode())] if page.policy else []
        await self.whole(page.content, page.media_type.encode(), HTTPStatus.OK, headers)

    async def whole(self, content: bytes, media_type: bytes, status: HTTPStatus, headers: Headers) -> None:
        """Answers with these bytes."""
        about: Headers = [(b"content-type", media_type), (b"content-length", str(len(content)).encode())]
        await self._start(status.value, [*about, *headers])
        await self._send({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else content})

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        given = {name.lower() for name, _ in headers}
        headers = [item for item in headers if item[0].lower() != b"server"]
        headers += SECURITY + [item for item in DEFAULTS if item[0] not in given]
        headers.append((b"x-request-id", self.request_id))
        headers = closing(headers) if self._drain.begun else headers
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def _account(route: Route, answer: _Answer, seconds: float) -> None:
    """Counts a request and writes its line; the log names the route, since a path may hold a consumer's id."""
    count, method = metrics(), route.method or "other"
    count.requests.labels(route.path, method, str(answer.status)).inc()
    count.seconds.labels(route.path).observe(seconds)
    if answer.kind:
        count.refusals.labels(answer.kind.value[0]).inc()
    if route.needs != OPEN:
        logger.info(
            "request method=%s route=%s status=%d kind=%s ms=%.1f request_id=%s",
            method,
            route.path,
            answer.status,
            answer.kind.value[0] if answer.kind else "-",
            seconds * 1000,
            answer.request_id.decode(),
        )


def _with_cors(app: App, origins: tuple[str, ...]) -> App:
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(  # type: ignore[return-value]  # the same interface under other names
        app,  # type: ignore[arg-type]
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "X-API-Key", "Content-Type", "X-Request-ID", "X-Deadline-Ms"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


def _request_id(headers: Headers) -> bytes:
    """The caller's X-Request-ID if it is harmless, else a new one."""
    given = dict(headers).get(b"x-request-id", b"")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
