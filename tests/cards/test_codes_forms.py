"""Offline and two-in-one codes, several uses, policies, aliases, labels and revocations: issued, shown, refused."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import assemble
from yimatong.cards.codec import Purpose, parse
from yimatong.cards.codes import offline, policies, service, signing, uploads
from yimatong.cards.codes.issuing import Order
from yimatong.cards.codes.policies import CodePolicy
from yimatong.cards.codes.schemas import NewCode
from yimatong.cards.errors import CodeExpired, CodeNotGenuine, CodeWrongPurpose, PolicyInvalid
from yimatong.crypto.devices.base import KeyUsage
from yimatong.kit import alarms, clock
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client
from yimatong_sdk.offline import OfflineReader, OfflineRefused

Clients = Callable[[str], Client]
Run = Callable[[Any], Any]


@pytest.fixture
def vuid(client: Clients, resident: SimpleNamespace) -> str:
    return str(client("app-1").register_account(vars(resident), real_name="police_online")["vuid"])


@pytest.fixture
def act(settings: Settings, run_async: Run) -> Callable[[Callable[[Any, Any], Any]], Any]:
    """Run a verb of ours with the platform's parts, in a transaction of its own."""

    def run(verb: Callable[[Any, Any], Any]) -> Any:
        async def inside() -> Any:
            parts = assemble(settings)
            try:
                async with parts.db.transaction() as connection:
                    return await verb(connection, parts.vault)
            finally:
                await parts.close()

        return run_async(inside())

    return run


def verify(client: Clients, text: str, purpose: str = "visit", terminal: str = "term-1", **more: Any) -> str:
    try:
        client(terminal).verify_code(text, purpose=purpose, **more)
    except ApiError as error:
        return error.code
    return "ok"


def offline_code(client: Clients, vuid: str, **more: Any) -> str:
    return str(client("app-1").issue_code(vuid, kind="offline", code_class="visit", **more)["text"])


def reader(client: Clients, act: Any) -> OfflineReader:
    keys = act(lambda _, vault: signing.live_public_keys(vault))
    made = OfflineReader(trusted={kid: key.hex() for kid, key in keys.items()})
    made.refresh(client("term-1").offline_bundle())
    return made


def test_offline_code_is_read_without_the_network_by_both_readers(
    client: Clients, vuid: str, act: Any, settings: Settings
) -> None:
    text = offline_code(client, vuid)
    assert len(text) == 226
    keys = act(lambda _, vault: signing.live_public_keys(vault))
    found, header = offline.read_offline(
        text, purpose=Purpose.VISIT, issuer=settings.issuer, public_keys=keys, now=clock.now()
    )
    theirs = reader(client, act).read(text, purpose="visit")
    assert (found, header.valid.issued_at, header.valid.nonce) == (vuid, theirs.issued_at, theirs.nonce)
    for purpose, moment, error in (
        (Purpose.PAYMENT, clock.now(), CodeWrongPurpose),
        (Purpose.VISIT, clock.now() + timedelta(minutes=3), CodeExpired),
        (Purpose.VISIT, clock.now() - timedelta(minutes=3), CodeExpired),
    ):
        with pytest.raises(error):
            offline.read_offline(text, purpose=purpose, issuer=settings.issuer, public_keys=keys, now=moment)


@pytest.mark.parametrize("place", [0, 63, 67, 98, 103, 110, 130, 225])
def test_offline_code_that_was_changed_anywhere_is_not_genuine(
    client: Clients, vuid: str, act: Any, settings: Settings, place: int
) -> None:
    text = offline_code(client, vuid)
    swap = {"A": "B", "0": "1"}
    changed = text[:place] + swap.get(text[place], "A") + text[place + 1 :]
    keys = act(lambda _, vault: signing.live_public_keys(vault))
    with pytest.raises(CodeNotGenuine):
        offline.check(parse(changed), issuer=settings.issuer, public_keys=keys)
    with pytest.raises(OfflineRefused):
        reader(client, act).read(changed, purpose="visit")
    assert verify(client, changed) == "CRD-2002"
    assert verify(client, text) == "ok"


def test_offline_codes_are_for_low_risk_only(client: Clients, vuid: str) -> None:
    for code_class in ("records", "payment"):
        with pytest.raises(ApiError) as refused:
            client("app-1").issue_code(vuid, kind="offline", code_class=code_class)
        assert refused.value.code == "CRD-2014"


def test_offline_and_online_use_up_the_same_nonce(client: Clients, vuid: str, act: Any, database_url: str) -> None:
    text = offline_code(client, vuid)
    own = reader(client, act)
    own.read(text, purpose="visit")
    with pytest.raises(OfflineRefused, match="used"):
        own.read(text, purpose="visit")
    assert verify(client, text, terminal="term-2") == "ok"
    told = client("term-1").upload_offline_uses(own.unsent())
    assert told == {"results": ["double_use"]}
    assert client("term-1").upload_offline_uses(own.unsent()) == {"results": ["repeated"]}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT count FROM kit_alarm WHERE kind = %s", (uploads.ALARM,)).fetchall()
    assert rows == [(1,)]


def test_what_was_seen_offline_is_used_up_and_recorded_once(client: Clients, vuid: str, act: Any) -> None:
    text = offline_code(client, vuid)
    own = reader(client, act)
    own.read(text, purpose="register")
    rubbish = {"code": text[:-4] + "AAAA", "purpose": "visit", "seen_at": own.unsent()[0]["seen_at"]}
    late = own.unsent()[0] | {"seen_at": "2020-01-01T00:00:00+00:00"}
    told = client("term-1").upload_offline_uses([*own.unsent(), rubbish, late])
    assert told == {"results": ["recorded", "CRD-2002", "CRD-2003"]}
    assert verify(client, text, terminal="term-2") == "CRD-2004"


def test_offline_bundle_names_revoked_codes_and_must_be_signed(client: Clients, vuid: str, act: Any) -> None:
    own, text = reader(client, act), offline_code(client, vuid)
    client("app-1").revoke_codes(vuid)
    bundle = client("term-1").offline_bundle()
    own.refresh(bundle)
    with pytest.raises(OfflineRefused, match="revoked"):
        own.read(text, purpose="visit")
    with pytest.raises(OfflineRefused, match="not_genuine"):
        own.refresh(bundle | {"content": bundle["content"].replace('"610000"', '"110000"')})
    with pytest.raises(OfflineRefused, match="list_too_old"):
        own.read(text, purpose="visit", now=int(clock.now().timestamp()) + 86_500)


def test_offline_bundle_names_the_older_numbers_of_a_frozen_account(
    client: Clients, vuid: str, act: Any, database_url: str
) -> None:
    """A code that was issued under the VUID from before a change of certificate is revoked with the account."""
    older = secrets.token_hex(32).upper()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cards_account"
            " (vuid, generation, mpi, vuid_key_version, state, alias_of, opened_at, changed_at)"
            " SELECT %s, 1, mpi, 1, 'alias', vuid, now(), now() FROM cards_account WHERE vuid = %s",
            (older, vuid),
        )
    assert uploads.who(older) not in client("term-1").offline_bundle()["content"]
    client("app-1").call("POST", f"/api/v1/accounts/{vuid}/state", {"state": "frozen", "reason": "lost_phone"})
    named = client("term-1").offline_bundle()["content"]
    assert uploads.who(vuid) in named
    assert uploads.who(older) in named


def test_sightings_are_stored_in_one_order_however_codes_are_written(
    client: Clients, vuid: str, act: Any, database_url: str
) -> None:
    """Two terminals that upload the same codes, one in lower case, lock their rows in the same order."""
    texts = sorted(offline_code(client, vuid) for _ in range(6))
    own = reader(client, act)
    for text in texts:
        own.read(text, purpose="visit")
    seen = own.unsent()
    for number, each in enumerate(seen):  # the prefix in lower case sorts behind every upper-case one
        where, kind, rest = each["code"].split(":", 2)
        each["code"] = f"{where.lower() if number % 2 else where}:{kind}:{rest}"
    assert set(client("term-1").upload_offline_uses(seen)["results"]) == {"recorded"}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT issued_at, nonce FROM cards_offline_use WHERE vuid = %s ORDER BY ctid", (vuid,)
        ).fetchall()
    assert len(rows) == 6
    assert rows == sorted(rows)


def test_signing_key_that_is_switched_off(client: Clients, vuid: str, act: Any) -> None:
    text = offline_code(client, vuid)

    async def rotate(_: Any, vault: Any) -> list[int]:
        made = vault.device.generate(KeyUsage.SIGNING)
        vault.device.activate(KeyUsage.SIGNING, made.version)
        vault.device.switch_off(KeyUsage.SIGNING, 1)
        return await signing.revoked_kids(vault)

    assert act(rotate) == [1]
    assert verify(client, text) == "CRD-2002"
    assert verify(client, offline_code(client, vuid)) == "ok"


def with_token(act: Any, vuid: str, token: str) -> str:
    wanted = NewCode(vuid=vuid, code_class="visit")
    common = {"scope": PLATFORM, "issuer_id": "payments", "request_id": "req_test", "now": clock.now()}
    order = Order(wanted=wanted, token=token, **common)
    return str(act(lambda tx, vault: service.issue_with_token(tx, vault, order)).text)


def test_two_in_one_is_genuine_with_its_own_token_only(client: Clients, vuid: str, act: Any) -> None:
    token, other = (f"P.{secrets.token_hex(20)}" for _ in range(2))
    text = with_token(act, vuid, token)
    bare = text.removesuffix(":" + token)
    never = client("app-1").issue_code(vuid, code_class="visit")["text"]
    for forged in (f"{bare}:{other}", bare, f"{bare}:{token}x", f"{never}:{token}"):
        assert verify(client, forged) == "CRD-2002"
    assert verify(client, text) == "ok"
    assert verify(client, text, terminal="term-2") == "CRD-2004"


def set_policy(act: Any, **values: Any) -> None:
    policy = CodePolicy(**values)
    act(lambda tx, _: policies.put(tx, policy, operator_id="op-1", now=clock.now()))


def unset_policy(act: Any, subject: str) -> None:
    act(lambda tx, _: policies.remove(tx, subject, operator_id="op-1", now=clock.now()))


def test_issuers_policy_decides_class_and_lifetime(client: Clients, vuid: str, act: Any) -> None:
    set_policy(act, subject="app-1", classes=["visit"], ttl_visit_s=30)
    try:
        code = client("app-1").issue_code(vuid, code_class="visit")
        assert code["expires_at"] > code["issued_at"]
        for asked, code_of in (
            ({"code_class": "payment"}, "CRD-2011"),
            ({"code_class": "visit", "ttl_s": 60}, "CRD-2012"),
        ):
            with pytest.raises(ApiError) as refused:
                client("app-1").issue_code(vuid, **asked)
            assert refused.value.code == code_of
    finally:
        unset_policy(act, "app-1")
    client("app-1").issue_code(vuid, code_class="payment", ttl_s=600)


def test_readers_policy_decides_purposes(client: Clients, vuid: str, act: Any) -> None:
    set_policy(act, subject="inst-h1", purposes=["register"])
    try:
        text = client("app-1").issue_code(vuid, code_class="visit")["text"]
        assert verify(client, text) == "CRD-2011"
        assert verify(client, text, "register") == "ok"
    finally:
        unset_policy(act, "inst-h1")


@pytest.mark.parametrize(
    "values",
    [
        {"skew_s": 121},
        {"skew_s": -1},
        {"uses": 0},
        {"uses": 21},
        {"ttl_visit_s": 1276},
        {"classes": ["gold"]},
        {"purposes": ["all"]},
    ],
)
def test_policies_stay_within_their_bounds(act: Any, values: dict[str, Any]) -> None:
    with pytest.raises(PolicyInvalid):
        set_policy(act, subject="app-1", **values)


def test_several_uses_within_one_institution_and_visit(client: Clients, vuid: str, act: Any) -> None:
    set_policy(act, subject="inst-h1", uses=3)
    try:
        text = client("app-1").issue_code(vuid, code_class="visit")["text"]
        first = client("term-1").verify_code(text, purpose="visit", visit_no="V1", idempotency_key="first-use")
        assert verify(client, text, terminal="his-1", visit_no="V2") == "CRD-2010"
        assert verify(client, text, terminal="term-2", visit_no="V1") == "CRD-2004"
        assert verify(client, text, terminal="his-1", visit_no="V1") == "ok"
        again = client("term-1").verify_code(text, purpose="visit", visit_no="V1", idempotency_key="first-use")
        assert again["record_id"] == first["record_id"]
        assert verify(client, text, terminal="his-1", visit_no="V1") == "ok"
        assert verify(client, text, terminal="his-1", visit_no="V1") == "CRD-2004"
    finally:
        unset_policy(act, "inst-h1")


def test_several_uses_are_counted_in_a_crowd(client: Clients, vuid: str, act: Any) -> None:
    set_policy(act, subject="inst-h1", uses=5)
    try:
        texts = [client("app-1").issue_code(vuid, code_class="visit")["text"] for _ in range(4)]
        client("term-1"), client("his-1")
        tries = [(text, ("term-1", "his-1")[number % 2]) for text in texts for number in range(20)]
        with ThreadPoolExecutor(20) as pool:
            results = list(pool.map(lambda each: (each[0], verify(client, each[0], terminal=each[1])), tries))
        taken = Counter(text for text, result in results if result == "ok")
        assert taken == dict.fromkeys(texts, 5)
    finally:
        unset_policy(act, "inst-h1")


def test_labels(client: Clients, vuid: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cards_label (vuid, serial, state, symbology, printed_at, printed_by)"
            " VALUES (%s, 'L0001', 'live', 'qr', now(), 'op-1'), (%s, 'L0002', 'revoked', 'qr', now(), 'op-1')",
            (vuid, vuid),
        )
    assert verify(client, f"{vuid}:1::L0001") == "ok"
    assert verify(client, f"{vuid}:1::L0002") == "CRD-2006"
    assert verify(client, f"{vuid}:1::L0003") == "CRD-2002"
    assert verify(client, f"{vuid}:1::610000") == "ok"
    assert verify(client, f"{vuid}:1") == "ok"


def test_alias_leads_to_todays_account_until_it_is_switched_off(client: Clients, vuid: str, database_url: str) -> None:
    """An old VUID's printed label finds the account of today; switched off, or with the account frozen, it does not."""
    old = secrets.token_hex(32).upper()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cards_account"
            " (vuid, generation, mpi, vuid_key_version, state, alias_of, opened_at, changed_at)"
            " SELECT %s, 1, mpi, 1, 'alias', vuid, now(), now() FROM cards_account WHERE vuid = %s",
            (old, vuid),
        )
    seen = client("term-1").verify_code(f"{old}:1", purpose="visit")
    assert seen["vuid"] == vuid
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cards_account SET alias_on = false WHERE vuid = %s", (old,))
    assert verify(client, f"{old}:1") == "CRD-2006"
    assert verify(client, f"{vuid}:1") == "ok"


def test_codes_of_the_whole_group_are_revoked(
    client: Clients, new_resident: Callable[[], SimpleNamespace], database_url: str
) -> None:
    """Two persons that the index joined: the older account is meant, and revoking reaches both."""
    older, younger = (
        str(client("app-1").register_account(vars(new_resident()), real_name="police_online")["vuid"]) for _ in range(2)
    )
    code = client("app-1").issue_code(younger, code_class="visit")["text"]
    spare = client("app-1").issue_code(younger, code_class="visit")["text"]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE empi_person SET state = 'retired', current_mpi = (SELECT mpi FROM cards_account WHERE vuid = %s)"
            " WHERE mpi = (SELECT mpi FROM cards_account WHERE vuid = %s)",
            (older, younger),
        )
    assert client("term-1").verify_code(code, purpose="visit")["vuid"] == older
    client("app-1").revoke_codes(older)
    assert verify(client, spare) == "CRD-2006"


async def test_alarms_are_raised_once_and_acknowledged(connection: Any) -> None:
    now = clock.now()
    for detail in ("first", "second"):
        await alarms.raise_alarm(connection, kind="test", subject="a", detail=detail, now=now)
    (found,) = [each for each in await alarms.alarms(connection) if each.kind == "test"]
    assert (found.count, found.detail) == (2, "second")
    await alarms.acknowledge(connection, found.id, operator_id="op-1", now=now)
    with pytest.raises(alarms.AlarmNotOpen):
        await alarms.acknowledge(connection, found.id, operator_id="op-2", now=now)
    await alarms.raise_alarm(connection, kind="test", subject="a", detail="third", now=now)
    assert [each.count for each in await alarms.alarms(connection) if each.kind == "test"] == [1]
