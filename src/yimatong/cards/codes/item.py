"""One verification on its way through a batch: what was asked, and what became known of it so far."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from yimatong.access.caller import Caller
from yimatong.cards.codec import CodeText, Valid
from yimatong.cards.codes.judgement import EarlierUse, KnownAccount, Policy
from yimatong.cards.codes.schemas import CodeToVerify
from yimatong.kit.errors import PlatformError

TOOK_MS_MAX: Final = 32767


class Found(NamedTuple):
    """What the look-up says. ``person`` is (mpi, sealed, sex, birth_date, state) of the current person."""

    fresh: bool
    caller_state: str
    throttled_until: datetime | None
    account: KnownAccount | None
    earlier: EarlierUse | None
    policy: Policy
    person: Any


class Item(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One verification.

    ``repeats`` is the record of the same caller's same request before, so that its first answer is given again;
    ``uses`` how many times its policy lets the code be used at its ``place``; ``fails`` the failures that its code's
    row is to be charged with.
    """

    caller: Caller
    nonce: str
    idempotency_key: str
    request_id: str
    wanted: CodeToVerify
    now: datetime
    code: CodeText | None = None
    valid: Valid | None = None
    found: Found | None = None
    earlier: EarlierUse | None = None
    refusal: PlatformError | None = None
    repeats: str = ""
    key_version: int | None = None
    label_state: str | None = None
    uses: int = 1
    place: str | None = None
    fails: int = 0
    began: float = msgspec.field(default_factory=time.monotonic)

    def took_ms(self, ended: float) -> int:
        """Return the milliseconds from the authenticated request to ``ended`` (monotonic), as its record keeps them."""
        return min(int((ended - self.began) * 1000), TOOK_MS_MAX)

    @property
    def record_id(self) -> str:
        """Return the id of this verification's record: one request, one record, one draw of random bits."""
        return "rec_" + self.request_id.removeprefix("req_")

    @property
    def mark(self) -> str:
        """Return what a use is known by: the idempotency key, and what it was asked with; the key has no blanks."""
        return f"{self.idempotency_key} {self.wanted.purpose} {self.wanted.med_step} {self.wanted.visit_no}"

    @property
    def use_key(self) -> tuple[str, int, bytes]:
        """Return the key under which this dynamic code is consumed."""
        if self.code is None or self.valid is None:
            message = "only an opened dynamic code has a use key"
            raise RuntimeError(message)
        return self.code.vuid, self.valid.issued_at, self.valid.nonce

    @property
    def consumes(self) -> bool:
        """Say whether this item uses up a dynamic code."""
        return self.refusal is None and self.valid is not None and not self.repeats
