"""Who is enrolled can sign: the ids of callers and institutions are those that a signed request can carry."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from yimatong.access import callers, request_auth
from yimatong.access.callers import Institution
from yimatong.access.errors import IdInvalid
from yimatong.apps.assembly import assemble
from yimatong.kit.db import Connection
from yimatong.kit.settings import Settings

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("wanted", ["", "医院", "a b", "a,b", "a\n", "a/b", "null", "NULL", "x" * 65])
def test_an_id_that_no_request_could_carry_is_refused(wanted: str) -> None:
    with pytest.raises(IdInvalid):
        request_auth.require_id(wanted)
    request_auth.require_id("H-1.his_2")


@pytest.mark.parametrize("wanted", ["市医院", "Null"])
async def test_nobody_is_enrolled_who_could_not_sign(
    wanted: str, connection: Connection, settings: Settings, secrets_of: dict[str, str]
) -> None:
    of = Institution(institution_id=wanted, name="医院", kind="hospital", org_code="435628013", region_code="610100")
    with pytest.raises(IdInvalid):
        await callers.add_institution(connection, of, now=NOW)
    parts = assemble(settings)
    with pytest.raises(IdInvalid):
        await callers.enrol(
            connection,
            parts.vault,
            caller_id=wanted,
            kind="app",
            name="医院",
            institution_id=None,
            secret=bytes(32),
            now=NOW,
        )
    await parts.close()
