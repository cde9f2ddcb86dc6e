"""API keys: made here, kept as hashes in one file, revoked by name; a running service follows the file.

A key is 32 random bytes, so one round of sha256 is as safe as many: there is nothing to guess. The file holds no key,
only what proves one. Losing the file locks everybody out until new keys are made.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from features.errors import InputError, SettingError

PREFIX = "cp"
FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_[A-Za-z0-9_-]{{43}}")
FOLLOW_SECONDS = 1.0
"""How often, at most, a running service looks at the file: how long a revoked key still works."""


class Role(StrEnum):
    """What a key may do; `admin` may do everything."""

    SERVE = "serve"
    FEEDBACK = "feedback"
    ERASE = "erase"
    ADMIN = "admin"


class ApiKey(BaseModel):
    """A key as it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    key_id: str
    """The part of the key that is no secret."""
    sha256: str
    roles: tuple[Role, ...] = Field(min_length=1)
    rate: float | None = Field(default=None, gt=0)
    """Requests a second, in place of the service's `COUNTERPOINT_RATE`."""
    created_at: AwareDatetime

    def may(self, role: Role) -> bool:
        """Whether the key has a role."""
        return role in self.roles or Role.ADMIN in self.roles

    def proven_by(self, key: str) -> bool:
        """Whether this is the key."""
        return hmac.compare_digest(_hash(key), self.sha256)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()


class KeyFile:
    """The keys of one service. Without a file there were never any; with an empty one nobody may call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at = -FOLLOW_SECONDS
        self._stamp: tuple[int, int] | None = None
        self._by_id: dict[str, ApiKey] | None = None

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys in order of their making. Raises SettingError if the file cannot be read."""
        try:
            return _File.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            raise SettingError(
                f"The key file {self.path} cannot be read: {type(error).__name__}.",
                remedy="Correct COUNTERPOINT_KEYS, or move the file away and make new keys.",
            ) from error

    def new(self, name: str, roles: tuple[Role, ...], rate: float | None = None) -> str:
        """Makes a key and returns it: it is not to be had again. Raises InputError if the name is taken or bad."""
        keys = self.keys()
        if any(key.name == name for key in keys):
            raise InputError(f"There is a key named {name!r} already.", remedy="Revoke it first, or take another name.")
        key_id = secrets.token_hex(6)
        key = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        now = datetime.now(UTC)
        try:
            made = ApiKey(name=name, key_id=key_id, sha256=_hash(key), roles=roles, rate=rate, created_at=now)
        except ValidationError as error:
            raise InputError(
                f"A key cannot be named {name!r} with the roles {[*map(str, roles)]} and the rate {rate}.",
                "A name has up to 64 letters, digits and . _ -; a key has at least one role; a rate is above 0.",
            ) from error
        self._write((*keys, made))
        return key

    def revoke(self, name: str) -> None:
        """Takes a key away. Raises InputError if there is none of that name."""
        keys = self.keys()
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise InputError(f"There is no key named {name!r}.", f"There are: {names}.")
        self._write(left)

    @property
    def exists(self) -> bool:
        """Whether keys were ever made: if so, nobody is answered without one."""
        self._follow()
        return self._by_id is not None

    def find(self, key: str) -> ApiKey | None:
        """The record that a caller's key proves, as of a second ago at most. Raises SettingError."""
        self._follow()
        form = FORM.fullmatch(key)
        found = (self._by_id or {}).get(form[1]) if form else None
        return found if found and found.proven_by(key) else None

    def _follow(self) -> None:
        if time.monotonic() < self._read_at + FOLLOW_SECONDS:
            return
        stamp = self._stamp_now()
        if stamp is None and self._by_id is not None:
            self._by_id = {}  # the file was taken away: that must not open the door
        elif stamp != self._stamp:
            self._by_id = {key.key_id: key for key in self.keys()}
        self._stamp, self._read_at = stamp, time.monotonic()

    def _stamp_now(self) -> tuple[int, int] | None:
        """What changes when the file does; None if there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingError(f"The key file {self.path} cannot be read: {error.strerror}.") from error
        return status.st_mtime_ns, status.st_ino

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(f".half-{self.path.name}-{secrets.token_hex(4)}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(_File(keys=keys).model_dump_json(indent=1) + "\n")
        os.replace(half, self.path)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
