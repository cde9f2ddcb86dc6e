"""Feast, imported in a sixth of the time: without the run-time type checks of its own classes.

Feast (0.67) decorates them with typeguard's `typechecked`, which parses, rewrites and compiles every method anew on
each import: a third of a service's start. typeguard's only switch is `python -O`, which takes our own asserts away too.
Nothing else is decorated while Feast is imported, and typeguard is as it was afterwards.
"""

from __future__ import annotations

import sys
from typing import Any


def import_feast() -> None:
    """Imports Feast; later imports of it find it there. Does nothing where it is there already."""
    if "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked  # type: ignore[assignment]
    try:
        import feast  # noqa: F401
    finally:
        typeguard.typechecked = checked


def _unchecked(target: Any = None, **settings: Any) -> Any:
    """Stands in for `typechecked`, with and without arguments."""
    return _unchecked if target is None else target
