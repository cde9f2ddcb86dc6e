"""The running service against its own OpenAPI document: it takes what it says it takes, and answers as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from counterpoint.server import running_service
from features.settings import HostSettings
from services.keys import KeyFile, Role

pytestmark = pytest.mark.slow

FEW = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
"""20 requests of each mode to each operation, the same ones every time, and none shrunk: each costs a round trip."""

NOTHING_TO_GET_WRONG = {"GET /v1/releases", "GET /v1/status", "GET /metrics", "GET /livez", "GET /readyz"}
NOT_ALL_IN_THE_SCHEMA = {"POST /v1/recommend", "POST /v1/explain"}
"""How deep a rule may be, and that a facet is changed once, is no matter of JSON Schema: what is as the schema says may
be refused all the same."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="module")
def key(home: Path) -> str:
    """Of somebody who may do anything."""
    return KeyFile(home / "keys.json").new("tester", tuple(Role))


@pytest.fixture(scope="module")
def documented(tiny_release: HostSettings, home: Path) -> Iterator[Any]:
    """The document of a service over the small catalog."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERPOINT_KEYS", str(home / "keys.json"))
        patch.setenv("COUNTERPOINT_STORE_TIMEOUT", "10")
        patch.setenv("COUNTERPOINT_RATE", "100000")
        with running_service(tiny_release, home / "service.log") as url:
            yield schemathesis.openapi.from_url(f"{url}/docs.json", config=_expectations())


def _expectations() -> SchemathesisConfig:
    """A schema cannot say which products there are: what names others is unusable (422), which is no broken promise.

    504 is what a deadline of a millisecond asks for.
    """
    checks = {
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "504"]},
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "422", "504"]},
    }
    return SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}, "checks": checks})


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_keeps_to_its_document(
    documented: Any, key: str, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    """Every status, header, media type and body is a documented one, none is 5xx, what breaks the schema is refused."""
    for found in documented.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.label in NOTHING_TO_GET_WRONG:
            continue
        # Keys are `test_guarded_service.py`'s; the check for them would send the good one along with its bad ones.
        left_out = [ignored_auth, *([positive_data_acceptance] if operation.label in NOT_ALL_IN_THE_SCHEMA else ())]

        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps_to_it(case: schemathesis.Case) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, excluded_checks=left_out)  # noqa: B023

        with subtests.test(operation.label):
            keeps_to_it()
