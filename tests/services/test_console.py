"""The console: nothing from elsewhere, nothing inline, and what reviewers wrote stays text in a real browser."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import CHROMIUM
from services.pages import CONSOLE, POLICY, console_pages
from tests.services.conftest import needs_browser
from tests.services.shop import PAYLOADS, PER_PAGE, Shop

FILES = sorted(CONSOLE.iterdir())


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


def test_modules_import_what_they_use() -> None:
    modules = {path: path.read_text() for path in CONSOLE.glob("*.js")}
    shared = {name for text in modules.values() for name in re.findall(r"export (?:async )?function (\w+)", text)}
    for path, text in modules.items():
        imported = {name.strip() for names in re.findall(r"import \{([^}]+)\}", text) for name in names.split(",")}
        own = set(re.findall(r"\b(?:function|const|let) (\w+)", text))
        called = set(re.findall(r"(?<![.\w])(\w+)\(", text))
        assert (called & shared) - imported - own == set(), path


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


def seen(url: str, folder: Path) -> str:
    """The document as a browser has it when the scripts are done."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    command += ["--virtual-time-budget=8000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


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
