"""Who may call what: the table of paths with the role each needs, keys, and a rate per key.

Without a key file the service answers callers on its own machine only, whatever address it listens on, and only if
they name it by a loopback name (a web page that points its own name at 127.0.0.1 is turned away).
"""

from __future__ import annotations

import ipaddress
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from features.errors import SettingError
from services.keys import ApiKey, KeyFile, Role
from services.limits import Scope
from services.problems import Kind, Problem, Refusal

MAX_BUCKETS = 10_000
PORT = re.compile(r":\d+$")
OPEN, ANY_ROLE = "open", "any role"


@dataclass(frozen=True)
class Route:
    """One path, `{}` standing for one segment of any kind, and who may use it: a role, `OPEN` or `ANY_ROLE`."""

    method: str
    path: str
    needs: Role | str

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is for this route; HEAD is a GET without the answer's body."""
        mine, asked = self.path.split("/"), path.split("/")
        if self.method != method.replace("HEAD", "GET") or len(mine) != len(asked):
            return False
        return all(part in ("{}", found) for part, found in zip(mine, asked, strict=True))


ROUTES = (
    Route("POST", "/v1/recommend", Role.SERVE),
    Route("POST", "/v1/score", Role.SERVE),
    Route("POST", "/v1/explain", Role.SERVE),
    Route("GET", "/v1/products/{}/insights", Role.SERVE),
    Route("GET", "/v1/consumers", Role.SERVE),
    Route("GET", "/v1/consumers/{}", Role.SERVE),
    Route("GET", "/v1/releases", Role.SERVE),
    Route("GET", "/v1/status", Role.SERVE),
    Route("POST", "/v1/feedback", Role.FEEDBACK),
    Route("DELETE", "/v1/consumers/{}", Role.ERASE),
    Route("GET", "/metrics", ANY_ROLE),
    Route("GET", "/livez", OPEN),
    Route("GET", "/readyz", OPEN),
    Route("GET", "/docs.json", OPEN),
    Route("GET", "/", OPEN),
    Route("GET", "/console/{}", OPEN),
)
"""What there is. A path that is missing here needs `admin` once there are keys, so that forgetting it opens nothing."""
ELSEWHERE = Route("", "other", Role.ADMIN)


def route_of(method: str, path: str) -> Route:
    """The route of a request: its path is safe to log and to count by, which the request's own is not."""
    return next((route for route in ROUTES if route.matches(method, path)), ELSEWHERE)


class Access:
    """Lets a request in, or says why not."""

    def __init__(self, keys: KeyFile, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: requests a second of a key that has no rate of its own."""
        self._keys, self._buckets = keys, _Buckets(clock)
        self._rate = rate

    def admit(self, scope: Scope, route: Route) -> None:
        """Raises Refusal unless the caller may use the route now."""
        if route.needs == OPEN:
            return
        if not self._has_keys():
            _require_own_machine(scope)
            return
        key = self._key_of(scope)
        if isinstance(route.needs, Role) and not key.may(route.needs):
            raise Refusal(
                Problem(
                    Kind.NOT_ALLOWED,
                    f"The key {key.name} has the roles {', '.join(key.roles)}.",
                    f"This needs the role {route.needs}.",
                    "Use a key with that role (`counterpoint keys new`).",
                )
            )
        if (wait := self._buckets.take(key.key_id, key.rate or self._rate)) > 0:
            rate = key.rate or self._rate
            raise Refusal(
                Problem(
                    Kind.TOO_MANY_REQUESTS,
                    f"The key {key.name} sends more than {rate:g} requests a second.",
                    remedy="Wait as long as Retry-After says, or ask for a higher rate.",
                    retry_after=math.ceil(wait),
                )
            )

    def _has_keys(self) -> bool:
        try:
            return self._keys.exists
        except SettingError as error:
            # Whoever cannot read the keys cannot tell who calls. The path is nobody else's business.
            raise Refusal(Problem(Kind.UNKNOWN_CALLER, "The service cannot read its keys.")) from error

    def _key_of(self, scope: Scope) -> ApiKey:
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
        key = self._keys.find(given)
        if key is None:
            raise Refusal(
                Problem(
                    Kind.UNKNOWN_CALLER,
                    "The API key is not known." if given else "The request carries no API key.",
                    "A key made by `counterpoint keys new` that was not revoked.",
                    "Send it as Authorization: Bearer KEY, or as X-API-Key: KEY.",
                )
            )
        return key


class _Buckets:
    """Token buckets, one per key: they fill at the key's rate up to twice that many, at least one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str, rate: float) -> float:
        """Takes one token; if there is none, the seconds until there is."""
        now, most = self._clock(), max(2 * rate, 1.0)
        left, then = self._left.pop(key_id, (most, now))
        left = min(most, left + (now - then) * rate)
        self._left[key_id] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MAX_BUCKETS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / rate


def is_loopback(host: str) -> bool:
    """Whether an address or name means the own machine, wherever it is used."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _require_own_machine(scope: Scope) -> None:
    """Raises Refusal if a request without keys came from elsewhere, or names the service as if it were elsewhere."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    addresses = [(scope[end] or ("", 0))[0] for end in ("server", "client")]
    if not all(map(is_loopback, [*addresses, PORT.sub("", host)])):
        raise Refusal(
            Problem(
                Kind.UNKNOWN_CALLER,
                "No API keys were made, so only callers on the service's own machine are answered.",
                "A request to a loopback address, by that address or as localhost.",
                "Make keys with `counterpoint keys new` and send one.",
            )
        )
