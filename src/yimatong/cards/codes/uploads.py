"""What terminals need to read codes without the network, and what they tell afterwards.

The bundle names the signing keys that are good, those that are not any more, and whose codes were revoked since when;
it is signed by the device, and a terminal that holds one older than a day reads nothing. What a terminal accepted it
uploads later, in parts and as often as it likes: each sighting is recorded once. The same nonce used twice, by two
terminals or once with the network and once without, shows then: it is recorded and an alarm is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Caller
from yimatong.cards.codec import SERVES, TTL_S_MAX, parse
from yimatong.cards.codes import offline, signing
from yimatong.cards.codes.issuing import REMEMBERED_S
from yimatong.cards.codes.judgement import SKEW_S_MAX
from yimatong.cards.codes.schemas import OfflineBundle, OfflineKeys, OfflineSeen, OfflineUploaded, OfflineUploads
from yimatong.cards.errors import CodeExpired, CodeWrongPurpose
from yimatong.cards.models import account, code_record, code_use, offline_use
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault
from yimatong.kit.alarms import raise_alarm
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id

GOOD_FOR: Final = timedelta(hours=24)
"""The age at which a terminal's bundle is too old to read codes by."""

ALARM: Final = "codes:double_use"
SIGNED_PREFIX: Final = b"YMT-OFFLINE-LIST-1"


async def bundle(connection: Connection, vault: Vault, *, now: datetime) -> OfflineBundle:
    """Return what a terminal needs, signed; made anew at every call.

    Codes live for 21 minutes at most, so revocations that are older than that and any tolerance concern no code.

    Raises:
        KeyNotFound: the device has no signing key. DeviceUnavailable: it does not answer.
    """
    since = now - timedelta(seconds=TTL_S_MAX + 2 * SKEW_S_MAX)
    rows = await connection.execute(_revoked_since(since))
    content = OfflineKeys(
        issuer=vault.issuer,
        made_at=int(now.timestamp()),
        good_until=int((now + GOOD_FOR).timestamp()),
        keys={str(kid): public.hex() for kid, public in (await signing.live_public_keys(vault)).items()},
        revoked_kids=await signing.revoked_kids(vault),
        revoked={who(vuid): int(moment.timestamp()) for vuid, moment in rows},
    )
    text = msgspec.json.encode(content, order="sorted").decode()
    kid = await signing.active_kid(vault)
    signature = await signing.sign(vault, kid, SIGNED_PREFIX + text.encode())
    return OfflineBundle(content=text, kid=kid, signature=signature.hex())


def _revoked_since(since: datetime) -> Select[str, datetime]:
    """Return the VUIDs whose codes were revoked: an account's own, and every older one that leads to it."""
    led = account.alias()
    own = select(account.c.vuid, account.c.codes_valid_from).where(account.c.codes_valid_from >= since)
    older = (
        select(led.c.vuid, account.c.codes_valid_from)
        .join(account, account.c.vuid == led.c.alias_of)
        .where(account.c.codes_valid_from >= since)
    )
    each = own.union_all(older).subquery()
    return select(each.c.vuid, func.max(each.c.codes_valid_from)).group_by(each.c.vuid)


def who(vuid: str) -> str:
    """Return how the list names an account: who does not hold its code learns nothing from it."""
    return sm3(b"YMT-REVOKED-1" + vuid.encode())[:16].hex()


async def upload(
    connection: Connection,
    wanted: OfflineUploads,
    *,
    caller: Caller,
    issuer: str,
    public_keys: Mapping[int, bytes],
    request_id: str,
    now: datetime,
) -> OfflineUploaded:
    """Record what a terminal accepted without the network, and say of each sighting what became of it.

    ``recorded``, ``repeated`` (told before), ``double_use``, or the public code of a refusal. Nothing is refused as a
    whole: a terminal cannot do anything about a bad line.
    """
    results: dict[int, str] = {}
    genuine: list[tuple[tuple[str, int, bytes], int, int]] = []
    for order, seen in enumerate(wanted.seen):
        try:
            vuid, header = _checked(seen, issuer=issuer, keys=public_keys, now=now)
            genuine.append(((vuid, header.valid.issued_at, header.valid.nonce), order, header.valid.ttl_s))
        except PlatformError as refusal:
            results[order] = refusal.code
    for key, order, ttl_s in sorted(genuine):  # rows are locked in the order of their keys, however codes were written
        results[order] = await _one(
            connection, wanted.seen[order], key, ttl_s=ttl_s, caller=caller, request_id=request_id, now=now
        )
    return OfflineUploaded(results=[results[order] for order in range(len(wanted.seen))])


async def _one(
    connection: Connection,
    seen: OfflineSeen,
    of_code: tuple[str, int, bytes],
    *,
    ttl_s: int,
    caller: Caller,
    request_id: str,
    now: datetime,
) -> str:
    """Record one sighting of a genuine code, known by VUID, issue and nonce."""
    vuid, issued_at, nonce = of_code
    record_id = new_id("rec")
    key = {"vuid": vuid, "issued_at": issued_at, "nonce": nonce}
    use = {"used_at": seen.seen_at, "used_by": caller.caller_id, "used_key": f"offline {seen.seen_at.isoformat()}"}
    told = await connection.execute(
        insert(offline_use)
        .values(
            **key,
            caller_id=caller.caller_id,
            seen_at=seen.seen_at,
            uploaded_at=now,
            record_id=record_id,
            outcome="recorded",
        )
        .on_conflict_do_nothing()
        .returning(offline_use.c.record_id)
    )
    if told.first() is None:
        return "repeated"
    forget_at = issued_at + ttl_s + 2 * SKEW_S_MAX + REMEMBERED_S
    statement = insert(code_use).values(**key, **use, record_id=record_id, forget_at=forget_at)
    taken = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(key),
            set_={name: statement.excluded[name] for name in (*use, "record_id", "forget_at")},
            where=code_use.c.used_by.is_(None),
        ).returning(code_use.c.record_id)
    )
    doubled = taken.first() is None
    await _record(connection, seen, vuid, record_id, doubled=doubled, caller=caller, request_id=request_id)
    if not doubled:
        return "recorded"
    await _raise_double_use(connection, key, record_id, caller=caller, now=now)
    return "double_use"


async def _record(
    connection: Connection,
    seen: OfflineSeen,
    vuid: str,
    record_id: str,
    *,
    doubled: bool,
    caller: Caller,
    request_id: str,
) -> None:
    await connection.execute(
        insert(code_record).values(
            vuid=vuid,
            record_id=record_id,
            at=seen.seen_at,
            event="verified",
            code_kind="offline",
            purpose=seen.purpose,
            result="CRD-2004" if doubled else "ok",
            caller_id=caller.caller_id,
            institution_id=caller.institution_id,
            front_id=caller.front_id,
            request_id=request_id,
        )
    )


async def _raise_double_use(
    connection: Connection, key: Mapping[str, object], record_id: str, *, caller: Caller, now: datetime
) -> None:
    of_code = [code_use.c[name] == value for name, value in key.items()]
    first = (await connection.execute(select(code_use.c.record_id, code_use.c.used_by).where(*of_code))).one()
    await connection.execute(
        offline_use.update()
        .where(offline_use.c.record_id == record_id, *[offline_use.c[name] == value for name, value in key.items()])
        .values(outcome="double_use")
    )
    detail = f"used by {first.used_by} ({first.record_id}) and offline by {caller.caller_id} ({record_id})"
    await raise_alarm(connection, kind=ALARM, subject=str(first.record_id), detail=detail, now=now)


def _checked(seen: OfflineSeen, *, issuer: str, keys: Mapping[int, bytes], now: datetime) -> tuple[str, offline.Header]:
    """Return the VUID and what the signed header says.

    Raises:
        CodeUnreadable, CodeNotGenuine: no code of ours. CodeExpired: seen outside its window, in the future, or told
            too late. CodeWrongPurpose: the class does not serve the purpose.
    """
    code = parse(seen.code)
    header = offline.check(code, issuer=issuer, public_keys=keys)
    valid, moment = header.valid, seen.seen_at.timestamp()
    inside = valid.issued_at - SKEW_S_MAX <= moment <= valid.issued_at + valid.ttl_s + SKEW_S_MAX
    in_time = moment <= now.timestamp() + SKEW_S_MAX and now.timestamp() <= moment + REMEMBERED_S
    if not inside or not in_time:
        raise CodeExpired
    if valid.code_class not in SERVES[seen.purpose]:
        raise CodeWrongPurpose
    return code.vuid, header


async def forget_sightings(connection: Connection, *, before: datetime) -> int:
    """Remove what terminals told long ago; the records of the verifications stay. Return how many."""
    done = await connection.execute(delete(offline_use).where(offline_use.c.uploaded_at < before))
    return int(done.rowcount)
