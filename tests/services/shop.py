"""A shop whose catalog was written by attackers: every text of its answers is a payload."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.settings import ServeSettings
from services.guard import Guard
from services.pages import Page, console_pages

PER_PAGE = 50
DEADLINE = 3.0
NOW = "2026-01-01T00:00:00Z"

VECTORS = (
    "<script>{0}</script>", "<img src=x onerror={0}>", "<svg onload={0}>", "<svg><script>{0}</script></svg>",
    "<iframe src=javascript:{0}></iframe>", "<a href=javascript:{0}>x</a>", "<body onload={0}>",
    "<input autofocus onfocus={0}>", "<details open ontoggle={0}>x</details>", "<video><source onerror={0}></video>",
    "<math><mtext><img src=x onerror={0}>",
    "<object data=javascript:{0}>", "<embed src=javascript:{0}>", "<form action=javascript:{0}><button autofocus>x",
    "<style>@import '/pwned';</style>", "<link rel=stylesheet href=/pwned>",
    "<meta http-equiv=refresh content='0;url=/pwned'>",
    "<base href=/pwned/>", "<template><img src=x onerror={0}></template>", "<select autofocus onfocus={0}><option>x",
    "<marquee onstart={0}>x</marquee>", "<noscript><p title='</noscript><img src=x onerror={0}>'>", "{{{{{0}}}}}",
    "${{{0}}}", "javascript:{0}",
)  # fmt: skip
WRAPPERS = (
    "{}", '">{}', "'>{}", "</textarea>{}", "</title>{}", "</script>{}", "-->{}", "]]>{}", "\u202e{}", "ok {} ok",
    "\n{}", "\t{}", "`{}`", "<b>{}</b>", "<!--{}", "</li></ol>{}", "{}<!--", "\u2028{}", "</style>{}", "a\u0300{}",
)  # fmt: skip
PAYLOADS = tuple(wrapper.format(vector.format("fetch('/pwned')")) for vector in VECTORS for wrapper in WRAPPERS)


@dataclass
class Shop:
    """Answers what the console asks."""

    pwned: list[str] = field(default_factory=list)
    """Paths that a payload asked for: it was alive."""
    asked: list[Any] = field(default_factory=list)
    """Recommendations asked for."""
    explained: list[Any] = field(default_factory=list)
    """Likewise of single pairs."""
    gives_steps: bool = True
    late: int = 0
    """So many recommendations are not there by the deadline."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        told = self._told(scope["path"], json.loads(body or b"{}"))
        if scope["path"] == "/v1/recommend" and self.late:
            self.late -= 1
            await asyncio.sleep(2 * DEADLINE)
        start = {"status": 404 if told is None else 200, "headers": [(b"content-type", b"application/json")]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": json.dumps(told or {}).encode()})

    def _told(self, path: str, request: Any) -> dict[str, Any] | None:
        match path.split("/")[1:]:
            case ["v1", "recommend"]:
                self.asked.append(request)
                return answer(*_payloads(request["consumer_id"]), live=request.get("explanations") == "live")
            case ["v1", "explain"]:
                self.explained.append(request)
                return {"steps": steps(*_payloads(request["consumer_id"])[:2]) if self.gives_steps else None}
            case ["v1", "products", product_id, "insights"]:
                return insights(*_payloads(product_id))
            case ["v1", "consumers"]:
                return {"consumer_ids": _payloads("0"), "more": False}
            case ["v1", "consumers", consumer_id] if consumer_id != STRANGER:
                return profile(*_payloads(consumer_id))
        if "pwned" in path:
            self.pwned.append(path)
        return None


STRANGER = "499"
"""A consumer without a profile."""


def _payloads(first: str) -> tuple[str, ...]:
    return PAYLOADS[int(first) : int(first) + PER_PAGE]


def answer(*payloads: str, live: bool = False) -> dict[str, Any]:
    """A recommendation in which everything that others wrote is a payload. If worded now, every second one is not."""
    items = []
    for rank, text in enumerate(payloads, start=1):
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": NOW}]
        reason = {"text": text, "fact_ids": [text], "facts": facts, "evidence_age_seconds": 9.0, "model": text}
        sides = [{**reason, "stance": stance, "granularity": text} for stance in ("for", "against")]
        shares = [{"field": text, "share": 0.5}]
        about = {"product_id": text, "title": text, "note": text, "rating": 4.0, "click": 0.5, "attention": shares}
        note = text if live and rank % 2 == 0 else None
        items.append({**about, "rank": rank, "reasons": sides, "reasons_note": note})
    about = {"release_id": payloads[0], "method": payloads[0], "as_of": NOW, "evidence_time": NOW, "answered_at": NOW}
    attributes = [{"name": text, "description": text, "level": 5.0} for text in payloads]
    return {**about, "degraded": True, "cause": payloads[0], "cold": True, "items": items, "attributes": attributes}


def insights(*payloads: str) -> dict[str, Any]:
    """A product of which everybody says something terrible."""
    arguments = []
    for text in payloads:
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": NOW}]
        arguments.append({"stance": "for", "text": text, "weight": 1, "facts": facts, "evidence_age_seconds": 9.0})
    tastes = [{"aspect": text, "attracted": 3, "repelled": 2} for text in payloads]
    about = {"product_id": payloads[0], "title": payloads[0], "release_id": payloads[0], "as_of": NOW}
    return {**about, "ratings": 5, "mean_rating": 4.0, "arguments": arguments, "tastes": tastes}


def profile(*payloads: str) -> dict[str, Any]:
    """A consumer whose tastes and products are payloads."""
    tastes = []
    for text in payloads:
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": NOW}]
        tastes.append({"facet_id": text, "stance": "for", "text": text, "weight": 0.5, "facts": facts})
    tastes = [{**taste, "evidence_age_seconds": 9.0} for taste in tastes]
    history = [{"product_id": text, "title": text, "rating": 4.0} for text in payloads]
    return {
        "consumer_id": payloads[0],
        "interactions": 50,
        "tastes": tastes,
        "history": history,
        "places": PER_PAGE + 1,
    }


def steps(*payloads: str) -> dict[str, Any]:
    """The four steps of a pair."""
    met = [{"text": it, "weight": 0.5, "example": it, "fitness": 0.25, "reason": it} for it in payloads]
    said = {"combined": payloads[0], "recommendation": payloads[0], "model": payloads[0]}
    return {"preferences": met, "met": 0.25, "chance": "low", **said}


UNSAFE = """<!doctype html><body><script>
fetch('/v1/recommend', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{"consumer_id": "0"}'})
  .then(it => it.json()).then(it => { document.body.innerHTML = it.items.map(item => item.title).join(' ') })
</script></body>"""


@contextmanager
def open_shop(folder: Path) -> Iterator[tuple[str, Shop]]:
    """The shop behind the guard and the console, on a port of its own until the block ends; gives its URL."""
    import uvicorn

    app, unsafe = Shop(), Page(UNSAFE.encode(), "text/html", "default-src * 'unsafe-inline'")
    settings = ServeSettings(keys=folder / "keys.json", deadline=DEADLINE)
    guard = Guard(app, settings, lambda: {**console_pages(), "/unsafe": lambda: unsafe})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(guard, port=port, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}", app
    server.should_exit = True
    thread.join()
