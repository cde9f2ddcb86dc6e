"""The console: nothing from elsewhere, nothing inline, and what reviewers wrote stays text in a real browser."""

from __future__ import annotations

import asyncio
import html
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from features.settings import ServeSettings
from services.guard import Guard
from services.pages import CONSOLE, POLICY, Page, console_pages
from tests.services.browser import CHROMIUM, opened

FILES = sorted(CONSOLE.iterdir())
PER_PAGE = 50

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


def test_there_are_five_hundred_payloads() -> None:
    assert len(set(PAYLOADS)) == 500


def test_the_page_runs_its_own_files_and_nothing_else() -> None:
    page = (CONSOLE / "index.html").read_text()
    assert "script-src 'self'" in POLICY
    assert "unsafe" not in POLICY
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|<style", page) == []
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert path in console_pages(), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_parses_html_evaluates_or_reaches_elsewhere(path: Path) -> None:
    text = path.read_text()
    risky = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(['\"]|localStorage"
    )
    assert re.findall(risky, text) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text) == []


def test_modules_import_what_there_is() -> None:
    for path in CONSOLE.glob("*.js"):
        for names, module in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', path.read_text()):
            exported = (CONSOLE / module).read_text()
            for name in names.split(","):
                assert re.search(rf"export (async )?(function|class|const) {name.strip()}\b", exported), (path, name)


def test_pages_are_served_with_their_policy(guarded: Callable[..., Any]) -> None:
    call = guarded(stub)
    call.guard._pages = console_pages()
    start = call(b"", {}, "GET", "/")
    assert (start.status, start.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert start.headers["content-security-policy"] == POLICY
    assert call(b"", {}, "GET", "/console/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert call(b"", {}, "GET", "/console/../../services/keys.py").status == 404


async def stub(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"Not Found"})


@dataclass
class Shop:
    """A service whose catalog was written by attackers: every text of an answer is a payload."""

    pwned: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if "pwned" in scope["path"]:
            self.pwned.append(scope["path"])
        body, status = b"{}", 404
        if scope["path"] == "/v1/recommend":
            request = json.loads((await receive())["body"])
            self.asked.append(request)
            first = int(request["consumer_id"])
            body, status = json.dumps(answer(PAYLOADS[first : first + PER_PAGE])).encode(), 200
        if scope["path"].startswith("/v1/products/"):
            first = int(scope["path"].split("/")[3])
            body, status = json.dumps(insights(PAYLOADS[first : first + PER_PAGE])).encode(), 200
        if scope["path"].startswith("/v1/consumers"):
            first = int(scope["path"].split("/")[3]) if scope["path"] != "/v1/consumers" else 0
            told = profile if scope["path"] != "/v1/consumers" else found
            body, status = json.dumps(told(PAYLOADS[first : first + PER_PAGE])).encode(), 200
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": body})


def answer(payloads: tuple[str, ...]) -> dict[str, Any]:
    """A recommendation in which everything that others wrote is a payload."""
    now = "2026-01-01T00:00:00Z"
    items = []
    for rank, text in enumerate(payloads, start=1):
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": now}]
        reason = {"text": text, "fact_ids": [text], "facts": facts, "evidence_age_seconds": 9.0, "model": text}
        sides = [{**reason, "stance": stance, "granularity": text} for stance in ("for", "against")]
        shares = [{"field": text, "share": 0.5}]
        about = {"product_id": text, "title": text, "note": text, "rating": 4.0, "click": 0.5, "attention": shares}
        items.append({**about, "rank": rank, "reasons": sides})
    about = {"release_id": payloads[0], "method": payloads[0], "as_of": now, "evidence_time": now, "answered_at": now}
    attributes = [{"name": text, "description": text, "level": 5.0} for text in payloads]
    return {**about, "degraded": True, "cause": payloads[0], "cold": True, "items": items, "attributes": attributes}


def insights(payloads: tuple[str, ...]) -> dict[str, Any]:
    """A product of which everybody says something terrible."""
    now, arguments = "2026-01-01T00:00:00Z", []
    for text in payloads:
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": now}]
        arguments.append({"stance": "for", "text": text, "weight": 1, "facts": facts, "evidence_age_seconds": 9.0})
    tastes = [{"aspect": text, "attracted": 3, "repelled": 2} for text in payloads]
    about = {"product_id": payloads[0], "title": payloads[0], "release_id": payloads[0], "as_of": now}
    return {**about, "ratings": 5, "mean_rating": 4.0, "arguments": arguments, "tastes": tastes}


def profile(payloads: tuple[str, ...]) -> dict[str, Any]:
    """A consumer whose tastes and products are payloads."""
    tastes = []
    for text in payloads:
        facts = [{"fact_id": text, "text": text, "source": text, "evidence_time": "2026-01-01T00:00:00Z"}]
        tastes.append({"facet_id": text, "stance": "for", "text": text, "weight": 0.5, "facts": facts})
    tastes = [{**taste, "evidence_age_seconds": 9.0} for taste in tastes]
    history = [{"product_id": text, "title": text, "rating": 4.0} for text in payloads]
    return {"consumer_id": payloads[0], "interactions": 50, "tastes": tastes, "history": history}


def found(payloads: tuple[str, ...]) -> dict[str, Any]:
    """Consumers whose ids are payloads."""
    return {"consumer_ids": payloads, "more": False}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Shop]]:
    """The shop behind the guard and the console, on a port of its own."""
    import uvicorn

    app, unsafe = Shop(), Page(UNSAFE.encode(), "text/html", "default-src * 'unsafe-inline'")
    settings = ServeSettings(keys=tmp_path_factory.mktemp("shop") / "keys.json")
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


UNSAFE = """<!doctype html><body><script>
fetch('/v1/recommend', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{"consumer_id": "0"}'})
  .then(it => it.json()).then(it => { document.body.innerHTML = it.items.map(item => item.title).join(' ') })
</script></body>"""


def seen(url: str, folder: Path) -> str:
    """The document as a browser has it when the scripts are done."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    command += ["--virtual-time-budget=8000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")


@pytest.mark.slow
@needs_browser
def test_a_page_without_care_would_be_taken_over(shop: tuple[str, Shop], tmp_path: Path) -> None:
    """The control: the same payloads are alive where HTML is parsed and the policy allows it."""
    url, app = shop
    app.pwned.clear()
    seen(f"{url}/unsafe", tmp_path)
    assert app.pwned


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("page", ["consumer", "product"])
def test_five_hundred_payloads_stay_text(shop: tuple[str, Shop], tmp_path: Path, page: str) -> None:
    url, app = shop
    app.pwned.clear()
    for first in range(0, len(PAYLOADS), PER_PAGE):
        document = seen(f"{url}/#/{page}/{first}/{PER_PAGE}", tmp_path)
        body = document[document.index("<body") :]
        for payload in PAYLOADS[first : first + PER_PAGE]:
            assert shown(payload) in shown(html.unescape(body)), payload
        names = {tag.lower() for tag in re.findall(r"<([a-zA-Z]+)", body)}
        assert not names & {
            "img",
            "svg",
            "iframe",
            "script",
            "object",
            "embed",
            "style",
            "link",
            "base",
            "video",
            "math",
        }
        assert not re.search(r"<[^>]+\son\w+=", body)
    assert app.pwned == []


def shown(text: str) -> str:
    """Text without the white space that a browser may change."""
    return re.sub(r"\s", "", text)


@pytest.mark.slow
@needs_browser
def test_a_consumer_is_ranked_and_their_tastes_are_moved_by_keyboard_alone(
    shop: tuple[str, Shop], tmp_path: Path
) -> None:
    url, app = shop
    app.asked.clear()
    with opened(url, tmp_path) as tab:
        tab.until("document.activeElement?.id === 'consumer'")
        tab.press("7", "Enter")
        tab.until("document.querySelectorAll('.product').length === 50")
        tab.until("document.querySelector('.profile') !== null")
        tab.tab_to(".profile > summary")
        tab.press("Enter")
        tab.tab_to("input[type=range]")
        tab.press("Home")
        tab.until("document.querySelector('main').textContent.includes('What if: ranked with 1 taste')")
        tab.tab_to("button.plain")
        tab.press("Enter")
        tab.until("!document.querySelector('main').textContent.includes('What if')")
    first = PAYLOADS[7]
    assert [it["facets"] for it in app.asked] == [[], [{"facet_id": first, "weight": 0}], []]


@pytest.mark.slow
@needs_browser
def test_a_product_and_the_releases_are_reached_by_mouse(shop: tuple[str, Shop], tmp_path: Path) -> None:
    url, app = shop
    with opened(f"{url}/#/consumer/0/10", tmp_path) as tab:
        tab.until("document.querySelectorAll('.product').length === 50")
        tab.click(".product .parts > summary")
        assert tab.value("document.querySelector('.product .parts').open")
        tab.send("Page.navigate", url=f"{url}/#/product/0")
        tab.until("document.querySelectorAll('.argument').length === 50")
        tab.click("nav a[data-page=releases]")
        tab.until("document.querySelector('h1').textContent === 'Releases'")
        tab.until("document.querySelector('main [role=alert]')?.textContent")  # this shop has none
    assert app.pwned == []
