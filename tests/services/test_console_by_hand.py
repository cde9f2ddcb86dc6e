"""The console in use: each of its parts by keyboard alone and by mouse, on narrow and wide screens, light and dark."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.browser import PATIENCE, Tab, opened
from tests.services.conftest import needs_browser
from tests.services.shop import PAYLOADS, PER_PAGE, STRANGER, Shop

pytestmark = [pytest.mark.slow, needs_browser]

WORDS = "A cable that is long."
MAIN = "document.querySelector('main').textContent"
FIRST = PAYLOADS[7]
"""Of consumer 7: the id and the words of the first taste, and of the first product."""


@pytest.fixture
def page(shop: tuple[str, Shop], tmp_path: Path) -> Iterator[tuple[Tab, Shop]]:
    """Consumer 7's page, with what is known of them unfolded."""
    url, app = shop
    app.asked.clear()
    app.explained.clear()
    app.gives_steps = True
    with opened(f"{url}/#/consumer/7/{PER_PAGE}", tmp_path) as tab:
        settled(tab)
        tab.value("document.querySelector('.profile').open = true")
        yield tab, app
    assert app.pwned == []


def settled(tab: Tab) -> None:
    """The first answers are shown."""
    tab.until(f"document.querySelectorAll('.product').length === {PER_PAGE}")
    tab.until("document.querySelector('.profile') !== null")


def activate(tab: Tab, selector: str, hand: str) -> None:
    """Presses a button or a summary."""
    if hand == "mouse":
        tab.click(selector)
        return
    tab.tab_to(selector)
    tab.press("Enter")


def write(tab: Tab, selector: str, text: str, hand: str) -> None:
    """Puts a text in the place of what stands in a field, and sends it."""
    if hand == "mouse":
        tab.click(selector)
    else:
        tab.tab_to(selector)
    tab.value("document.activeElement.select()")  # as Ctrl+A, which headless keys do not reach
    tab.press(text)
    if hand == "mouse":
        tab.click(f"form:has({selector}) button")
    else:
        tab.press("Enter")


def eventually(true: Callable[[], bool]) -> None:
    """Waits for what the page does not show."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


by_hand = pytest.mark.parametrize("hand", ["keyboard", "mouse"])


def test_a_consumer_is_asked_for_and_weighed_by_keyboard_alone(shop: tuple[str, Shop], tmp_path: Path) -> None:
    url, app = shop
    app.asked.clear()
    with opened(url, tmp_path) as tab:
        tab.until("document.activeElement?.id === 'consumer'")
        tab.press("7", "Enter")
        tab.until("document.querySelectorAll('.product').length === 50")
        tab.until("document.querySelector('.profile') !== null")
        activate(tab, ".profile > summary", "keyboard")
        tab.tab_to(".profile input[type=range]")
        tab.press("Home")
        tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
        activate(tab, "button.reset", "keyboard")
        tab.until(f"!{MAIN}.includes('What if')")
    assert [it["facets"] for it in app.asked] == [[], [{"facet_id": FIRST, "weight": 0}], []]


@by_hand
def test_a_taste_is_said_in_other_words(page: tuple[Tab, Shop], hand: str) -> None:
    tab, app = page
    activate(tab, ".tastes-list > li:first-child .reword > summary", hand)
    tab.until("document.querySelector('.reword').open")
    write(tab, "#for-0-words", WORDS, hand)
    tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    assert app.asked[-1]["facets"] == [{"facet_id": FIRST, "text": WORDS}]
    row = tab.value("document.querySelector('.tastes-list > li').innerText")
    assert WORDS in row
    assert "in your own words" in row
    assert "Evidence" not in row  # own words rest on none
    activate(tab, "button.reset", hand)
    tab.until(f"!{MAIN}.includes('What if')")
    assert app.asked[-1]["facets"] == []
    assert "Evidence" in tab.value("document.querySelector('.tastes-list > li').innerText")


@by_hand
def test_a_taste_of_ones_own_is_added_weighed_and_removed(page: tuple[Tab, Shop], hand: str) -> None:
    tab, app = page
    write(tab, "#add-against", WORDS, hand)
    tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    assert app.asked[-1]["new_facets"] == [{"stance": "against", "text": WORDS, "weight": 1}]
    assert tab.value("document.querySelector('#add-against').value") == ""
    tab.value("document.querySelector('#against-new-0').focus()")
    tab.press("ArrowLeft")
    eventually(lambda: app.asked[-1]["new_facets"] == [{"stance": "against", "text": WORDS, "weight": 0.75}])
    tab.value("document.querySelector('#against-new-0').focus()")
    activate(tab, "button.remove", hand)
    tab.until(f"!{MAIN}.includes('What if')")
    assert app.asked[-1]["new_facets"] == []
    assert tab.value("document.activeElement.id") == "add-against"


def test_there_are_so_many_places_and_the_page_says_how_to_make_room(page: tuple[Tab, Shop]) -> None:
    """Consumer 7 has one place left on the side of what draws them."""
    tab, app = page
    write(tab, "#add-for", WORDS, "keyboard")
    tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    write(tab, "#add-for", "One too many.", "keyboard")
    tab.until(f"{MAIN}.includes('places are taken: set one to 0')")
    tab.value("document.querySelector('#for-0').focus()")
    tab.press("Home")
    tab.until(f"{MAIN}.includes('What if: ranked with 2 tastes')")
    write(tab, "#add-for", "Now there is room.", "keyboard")
    tab.until(f"{MAIN}.includes('What if: ranked with 3 tastes')")
    assert [it["text"] for it in app.asked[-1]["new_facets"]] == [WORDS, "Now there is room."]


def test_a_stranger_may_say_what_they_like(shop: tuple[str, Shop], tmp_path: Path) -> None:
    url, app = shop
    with opened(f"{url}/#/consumer/{STRANGER}", tmp_path) as tab:
        tab.until("document.querySelector('.profile') !== null")
        activate(tab, ".profile > summary", "keyboard")
        write(tab, "#add-for", WORDS, "keyboard")
        tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    assert app.asked[-1]["new_facets"] == [{"stance": "for", "text": WORDS, "weight": 1}]


def test_a_service_that_was_too_late_is_asked_once_more(page: tuple[Tab, Shop]) -> None:
    """The first own words of a process wait for the encoder's weights."""
    tab, app = page
    app.late = 1
    write(tab, "#add-against", WORDS, "keyboard")
    tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    assert app.asked[-1] == app.asked[-2]
    app.late = 2
    write(tab, "#add-against", "Others.", "keyboard")
    tab.until("document.querySelector('main [role=alert]') !== null")
    assert tab.value("document.querySelectorAll('.product').length") == PER_PAGE  # the list that was there stays


@by_hand
def test_the_reasons_of_a_whole_list_are_worded_now_and_put_back(page: tuple[Tab, Shop], hand: str) -> None:
    tab, app = page
    activate(tab, "button.word", hand)
    tab.until(f"{MAIN}.includes('Worded now: 25 of 50')")
    assert (app.asked[-1]["explanations"], app.asked[-1]["seconds"]) == ("live", 8)
    assert tab.value("document.querySelectorAll('.unworded').length") == PER_PAGE / 2
    assert tab.value("document.activeElement.textContent") == "Ask again"  # who works by keyboard is where they were
    activate(tab, "button.back", hand)
    tab.until("document.querySelector('.unworded') === null")
    assert "explanations" not in app.asked[-1]
    assert tab.value("document.activeElement.textContent") == "Word the reasons now"


def test_changed_tastes_are_not_worded_now(page: tuple[Tab, Shop]) -> None:
    tab, _ = page
    tab.tab_to(".profile input[type=range]")
    tab.press("Home")
    tab.until("document.querySelector('button.word').disabled")
    assert "knows the stored tastes alone" in tab.value(MAIN)


@by_hand
def test_a_recommendation_is_told_in_four_steps_on_the_tastes_as_they_are(page: tuple[Tab, Shop], hand: str) -> None:
    tab, app = page
    write(tab, "#add-against", WORDS, "keyboard")
    tab.until(f"{MAIN}.includes('What if: ranked with 1 taste')")
    tab.until(f"document.querySelectorAll('.steps').length === {PER_PAGE}")
    activate(tab, ".product:first-child .steps > summary", hand)
    tab.until("document.querySelectorAll('.product:first-child .four > li').length === 4")
    asked = app.explained[-1]
    assert (asked["consumer_id"], asked["product_id"]) == ("7", FIRST)
    assert asked["new_facets"] == [{"stance": "against", "text": WORDS, "weight": 1}]
    titles = tab.value("[...document.querySelectorAll('.four h3')].map(it => it.textContent)")
    assert titles == [
        "What counts for this consumer",
        "How well this product meets it",
        "Both together",
        "Recommendation",
    ]
    assert tab.value("document.querySelectorAll('.four .bars li').length") == 4
    assert tab.value("document.querySelectorAll('.four :is(img, svg, iframe, script, style)').length") == 0


def test_a_release_without_steps_offers_none(shop: tuple[str, Shop], tmp_path: Path) -> None:
    url, app = shop
    app.explained.clear()
    app.gives_steps = False
    with opened(f"{url}/#/consumer/7/{PER_PAGE}", tmp_path) as tab:
        settled(tab)
        tab.tab_to(".profile > summary")
        assert len(app.explained) == 1
        assert tab.value("document.querySelectorAll('.steps').length") == 0


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
        assert tab.value("document.querySelector('#status').textContent") == ""  # what is wrong is said once
    assert app.pwned == []


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_over_the_edge(page: tuple[Tab, Shop], width: int) -> None:
    tab, _ = page
    tab.resize(width, 900)
    tab.until(f"document.querySelectorAll('.steps').length === {PER_PAGE}")
    tab.value("document.querySelectorAll('details').forEach(it => { it.open = true })")
    tab.until("document.querySelectorAll('.four').length === 50")
    tab.click("button.word")
    tab.until("document.querySelector('.unworded') !== null")
    over = "[...document.querySelectorAll('body *')].filter(it => it.getBoundingClientRect().right > innerWidth + 1)"
    shown = f"{over}.filter(it => !it.closest('.scroll')).map(it => it.tagName + '.' + it.className).slice(0, 5)"
    assert tab.value(shown) == []
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert tab.value("Math.min(...[...document.querySelectorAll('.track')].map(it => it.clientWidth))") > 60


def test_light_and_dark_follow_what_is_preferred(page: tuple[Tab, Shop]) -> None:
    tab, _ = page
    colours = {}
    for scheme in ("light", "dark"):
        tab.prefer(scheme)
        colours[scheme] = tab.value("getComputedStyle(document.body).backgroundColor")
    assert colours == {"light": "rgb(246, 247, 247)", "dark": "rgb(17, 24, 26)"}
