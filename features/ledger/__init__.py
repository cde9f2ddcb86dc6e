"""The ledger: every answer of a language model, committed the moment it arrives, under its request's key.

It is the only memory of what was bought and the meter of what it cost. SQLite by default, PostgreSQL by URL.

- `answers`: the usable answer of each key, the only ones that are ever served;
- `unserved`: all else that was bought: refused, cut or malformed answers, and a second answer under a key that has one;
- `runs`: the meter, one row per call that buys: what it asked, found and bought, and whether it is alive;
- `reservations`: who is buying which key now, so that two runs side by side buy nothing twice.
"""

from features.ledger.answers import Failure, FailureCount, KindSummary, Ledger, LedgerSummary, PastUse
from features.ledger.runs import Run

__all__ = ["Failure", "FailureCount", "KindSummary", "Ledger", "LedgerSummary", "PastUse", "Run"]
