"""Tiny networks lose more to threads than they gain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.threads import torch_threads


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
