"""One verification on its way through a batch: what was asked, and what became known of it so far."""

from __future__ import annotations

from datetime import datetime

import msgspec

from yimatong.access.caller import Caller
from yimatong.cards.codec import CodeText, Valid
from yimatong.cards.codes.judgement import EarlierUse, KnownAccount
from yimatong.cards.codes.schemas import CodeToVerify
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id


class Item(msgspec.Struct, kw_only=True, eq=False):
    """One verification on its way through a batch."""

    caller: Caller
    nonce: str
    idempotency_key: str
    request_id: str
    wanted: CodeToVerify
    now: datetime
    record_id: str = msgspec.field(default_factory=lambda: new_id("rec"))
    code: CodeText | None = None
    account: KnownAccount | None = None
    valid: Valid | None = None
    earlier: EarlierUse | None = None
    refusal: PlatformError | None = None
    repeats: bool = False
    """The first answer is given again: same caller, same idempotency key, same code."""

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
