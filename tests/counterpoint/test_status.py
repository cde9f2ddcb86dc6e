"""Status says what was asked, found, bought and wasted, for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from counterpoint.status import show_status
from features.errors import SettingError
from features.ledger import Ledger
from features.settings import HostSettings, TokenPrice
from features.types import Claim, Completion, FinishReason, ModelIdentity, Slot, TextRequest
from models.status import Status, read_status

MODEL = ModelIdentity("model", "1")
FAILURES = {1: (FinishReason.MALFORMED, "1 lines for 2 slots"), 2: (FinishReason.REFUSED, "[b]no[/b]: I will not")}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a home where 10 requests were asked: 6 known, 4 bought, of which 2 can be used."""
    environment = {"COUNTERPOINT_HOME": str(tmp_path)}
    with Ledger(HostSettings.from_environment(environment).ledger_url) as ledger, ledger.run() as run:
        run.account(asked=10, from_ledger=6)
        for n in range(4):
            request = TextRequest("facets", f"product:{n}", "System.", f"Prompt {n}.", (Slot("Likes"),), MODEL)
            finish, note = FAILURES.get(n, (FinishReason.STOP, ""))
            run.record(request, Completion(request.key, (Claim("x"),), finish, 250_000, 50_000, 1.5, MODEL, note))
    return environment


def read(environment: dict[str, str]) -> Status:
    return read_status(HostSettings.from_environment(environment))


def shown(state: Status) -> str:
    console = Console(file=io.StringIO(), width=100)
    show_status(state, Path("home"), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_json_holds_the_whole_account(home: dict[str, str]) -> None:
    state = read({**home, "COUNTERPOINT_LLM_PRICE": "0.5,2"})
    assert json.loads(state.model_dump_json())["ledger"] == {
        "asked": 10,
        "from_ledger": 6,
        "hit_rate": 0.6,
        "answers": 4,
        "usable": 2,
        "by_kind": {"facets": 4},
        "prompt_tokens": 1_000_000,
        "completion_tokens": 200_000,
        "seconds": 6.0,
        "spend": 0.9,
        "failures": [
            {"finish": "malformed", "cause": "N lines for N slots", "answers": 1},
            {"finish": "refused", "cause": "[b]no[/b]", "answers": 1},
        ],
    }


def test_people_read_the_same_figures(home: dict[str, str]) -> None:
    lines = {line.split("  ")[0]: " ".join(line.split()) for line in shown(read(home)).splitlines()}
    assert lines["hit rate"] == "hit rate 60.0% 6 of them from the ledger"
    assert lines["bought"] == "bought 4 answers: 4 facets"
    assert lines["tokens"] == "tokens 1,200,000 1,000,000 read, 200,000 written"
    assert lines["malformed"] == "malformed 1 N lines for N slots"
    assert lines["refused"] == "refused 1 [b]no[/b]"
    assert "spend" not in lines, "without a price there is no money to tell of"


def test_money_is_shown_where_a_price_is_set(home: dict[str, str]) -> None:
    assert "1.20  by COUNTERPOINT_LLM_PRICE" in shown(read({**home, "COUNTERPOINT_LLM_PRICE": "1"}))


def test_a_new_home_has_asked_nothing(tmp_path: Path) -> None:
    state = read({"COUNTERPOINT_HOME": str(tmp_path / "new")})
    assert (state.stages, state.ledger.asked, state.ledger.hit_rate, state.ledger.failures) == ([], 0, 0.0, [])
    assert "Bought and not usable" not in shown(state)
    assert not (tmp_path / "new").exists(), "who only looks makes nothing"


@pytest.mark.parametrize("price", ["cheap", "1,2,3", "-1", "nan", "inf", ","])
def test_a_price_that_is_none_is_a_setting_error(price: str) -> None:
    with pytest.raises(SettingError, match="COUNTERPOINT_LLM_PRICE"):
        TokenPrice.parse(price)
