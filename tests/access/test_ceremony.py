"""Key ceremonies on a real database and a real soft device: two people, once, and finishable after a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from yimatong.access import operators
from yimatong.access.ceremony import queries
from yimatong.access.ceremony.destroying import SETTLE
from yimatong.access.ceremony.schemas import Given, Request
from yimatong.access.ceremony.service import Ceremonies
from yimatong.access.ceremony.windows import Windows
from yimatong.access.errors import (
    ApproverIsProposer,
    CeremonyInvalid,
    CeremonyNotApproved,
    CeremonyOver,
    CeremonyRunning,
    CodesStillValid,
    CustodianTwice,
    KeyStillNeeded,
    KeyVersionsShort,
    NotPermitted,
)
from yimatong.crypto.devices.base import Component, KeyState, KeyUsage
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.errors import (
    BackupRefused,
    ComponentMismatch,
    DeviceUnavailable,
    ImportRefusedAfterCutOff,
    KeyNotFound,
)
from yimatong.crypto.gm import sm2, sm4
from yimatong.kit.db import Database
from yimatong.kit.ids import new_id

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
PROTECTION = KeyUsage.PROTECTION
LIFE = timedelta(seconds=1455)
SETTLED = NOW + SETTLE
ROTATE = Request(action="rotate", usage="protection")
AT_ONCE = Request(action="rotate", usage="protection", emergency=True)
PARTS = [bytes(range(n, n + 16)) for n in (1, 40, 90)]
KEY = bytes(a ^ b ^ c for a, b, c in zip(*PARTS, strict=True))


class Cable:
    """A device on a cable that can be cut before or after a call."""

    inline = False
    name = "cable"

    def __init__(self, device):
        self.device = device
        self.cut = ""

    def __getattr__(self, name):
        if self.cut == f"before {name}":
            raise DeviceUnavailable(device=self.name)
        verb = getattr(self.device, name)
        if self.cut != f"after {name}":
            return verb

        def broken(*args, **kwargs):
            verb(*args, **kwargs)
            raise DeviceUnavailable(device=self.name)

        return broken


@pytest.fixture
async def db(database_url):
    database = Database(database_url, size=6)
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM access_key_ceremony_part"))
        await connection.execute(text("DELETE FROM access_key_ceremony"))
        await connection.execute(text("DELETE FROM access_key_ledger"))
    yield database
    await database.close()


@pytest.fixture
async def people(db):
    made = []
    async with db.transaction() as connection:
        for role in ("key_custodian", "key_custodian", "key_custodian", "finance"):
            operator_id = await operators.add(
                connection,
                login=new_id("t"),
                name=role,
                roles=frozenset({role}),
                password="Ceremony-2026",
                institution_id=None,
                now=NOW,
            )
            made.append(await operators.find(connection, operator_id))
    return made


@pytest.fixture
def cable(tmp_path):
    return Cable(SoftDevice.create_demonstration(tmp_path / "k.json", "passphrase"))


@pytest.fixture
def sealed_rows():
    return {}


@pytest.fixture
def ceremonies(db, cable, sealed_rows):
    async def remaining(version):
        return {"empi_person.sealed": sealed_rows.get(version, 0)}

    async def issued(_usage, version, _since):
        return 100 + version

    return Ceremonies(db, cable, remaining=remaining, windows=Windows(life=LIFE, issued=issued), pause_s=0)


@pytest.fixture
def agreed(ceremonies, people):
    """Propose by the first custodian and approve by the second; the first custodian's id comes back."""

    async def agree(request):
        approval_id = await ceremonies.propose(request, reason="例行", operator=people[0], now=NOW)
        await ceremonies.decide(approval_id, operator=people[1], approve=True, now=NOW)
        return approval_id

    return agree


def _states(cable, usage=PROTECTION):
    return {info.version: info.state for info in cable.device.key_versions(usage)}


async def _audit(db, approval_id):
    async with db.read() as connection:
        rows = await connection.execute(
            text("SELECT actor, action, result, detail FROM kit_audit_event WHERE object_id = :id ORDER BY id"),
            {"id": approval_id},
        )
        return [tuple(row) for row in rows]


async def test_two_custodians_rotate_once_and_the_audit_tells_it(ceremonies, people, cable, db):
    approval_id = await ceremonies.propose(ROTATE, reason="年度轮换", operator=people[0], now=NOW)
    with pytest.raises(CeremonyNotApproved):
        await ceremonies.perform(approval_id, Given(), operator=people[0], now=NOW)
    with pytest.raises(ApproverIsProposer):
        await ceremonies.approve_and_run(approval_id, operator=people[0], now=NOW)
    assert _states(cable) == {1: KeyState.ACTIVE}
    done = await ceremonies.approve_and_run(approval_id, operator=people[1], now=NOW)
    assert (done.info.version, done.info.state) == (2, KeyState.ACTIVE)
    with pytest.raises(CeremonyOver):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    assert _states(cable) == {2: KeyState.ACTIVE, 1: KeyState.ENABLED}
    told = await _audit(db, approval_id)
    assert [(actor, action, result) for actor, action, result, _ in told] == [
        (people[0].operator_id, "keys:propose", "ok"),
        (people[1].operator_id, "keys:approve", "ok"),
        (people[1].operator_id, "keys:perform", "ok"),
    ]
    assert f"version=2 kcv={done.info.kcv}" in told[-1][3]


async def test_only_custodians_take_part(ceremonies, people, agreed):
    with pytest.raises(NotPermitted):
        await ceremonies.propose(ROTATE, reason="r", operator=people[3], now=NOW)
    approval_id = await agreed(ROTATE)
    with pytest.raises(NotPermitted):
        await ceremonies.perform(approval_id, Given(), operator=people[3], now=NOW)


@pytest.mark.parametrize(
    "request_",
    [
        Request(action="steal", usage="protection"),
        Request(action="rotate", usage="device"),
        Request(action="switch-off", usage="protection"),
        Request(action="switch-off", usage="protection", version=256),
        Request(action="import-component", usage="protection", parts=1, kcv="ABCDEF"),
        Request(action="import-component", usage="protection", parts=2, kcv="ABCDE"),
        Request(action="import-wrapped", usage="signing", kcv="ABCDEF"),
        Request(action="backup", parts=6),
        Request(action="cut-off", emergency=True),
        Request(action="switch-on", usage="protection", version=1, emergency=True),
    ],
)
async def test_requests_that_make_no_sense_are_refused(ceremonies, people, request_):
    with pytest.raises(CeremonyInvalid):
        await ceremonies.propose(request_, reason="r", operator=people[0], now=NOW)
    with pytest.raises(CeremonyInvalid):
        await ceremonies.propose(ROTATE, reason="  ", operator=people[0], now=NOW)


@pytest.mark.parametrize("cut", ["before generate", "after generate", "before activate", "after activate"])
async def test_a_broken_off_rotation_is_finished_and_never_done_twice(ceremonies, people, cable, agreed, cut):
    approval_id, other = await agreed(ROTATE), await agreed(ROTATE)
    cable.cut = cut
    with pytest.raises(DeviceUnavailable):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    cable.cut = ""
    with pytest.raises(CeremonyRunning):  # nobody else may change keys meanwhile
        await ceremonies.perform(other, Given(), operator=people[1], now=NOW)
    done = await ceremonies.approve_and_run(approval_id, operator=people[2], now=NOW)
    assert done.info.version == 2
    assert _states(cable) == {2: KeyState.ACTIVE, 1: KeyState.ENABLED}
    assert (await ceremonies.perform(other, Given(), operator=people[1], now=NOW + LIFE)).info.version == 3


async def test_a_crash_before_the_end_was_written_is_finished(ceremonies, people, cable, agreed, monkeypatch):
    approval_id = await agreed(ROTATE)

    async def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ceremonies, "_end", killed)
    with pytest.raises(KeyboardInterrupt):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    monkeypatch.undo()
    assert (await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)).info.version == 2
    assert sorted(_states(cable)) == [1, 2]


async def test_many_who_perform_the_same_ceremony_do_it_once(ceremonies, people, cable, agreed, db):
    approval_id = await agreed(ROTATE)
    await asyncio.gather(
        *(ceremonies.perform(approval_id, Given(), operator=people[i % 3], now=NOW) for i in range(6)),
        return_exceptions=True,
    )
    async with db.read() as connection:
        assert (await queries.find(connection, approval_id)).state == "done"
    assert _states(cable) == {2: KeyState.ACTIVE, 1: KeyState.ENABLED}
    assert [row[1] for row in await _audit(db, approval_id)].count("keys:perform") == 1


async def test_a_ready_version_is_what_a_rotation_activates(ceremonies, people, cable, agreed):
    made = await ceremonies.perform(
        await agreed(Request(action="generate", usage="protection")), Given(), operator=people[1], now=NOW
    )
    assert made.info.state is KeyState.READY
    rotated = await ceremonies.perform(await agreed(ROTATE), Given(), operator=people[1], now=NOW)
    assert (rotated.info.version, rotated.info.kcv) == (2, made.info.kcv)


async def test_custodians_bring_components_each_herself(ceremonies, people, cable, agreed, db):
    request = Request(action="import-component", usage="protection", parts=3, kcv=sm4.key_check_value(KEY))
    approval_id = await agreed(request)

    async def bring(person, part, value, kcv=None):
        given = kcv or sm4.key_check_value(value)
        return await ceremonies.bring_component(approval_id, part, value, given, operator=people[person], now=NOW)

    with pytest.raises(ComponentMismatch):
        await bring(0, 1, PARTS[0], "000000")
    assert (await bring(0, 1, PARTS[0])).parts_missing == 2
    assert (await bring(0, 1, PARTS[0])).parts_missing == 2  # the same again changes nothing
    with pytest.raises(CustodianTwice):
        await bring(0, 2, PARTS[1])
    with pytest.raises(CustodianTwice):
        await bring(1, 1, PARTS[1])
    with pytest.raises(CeremonyInvalid):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    assert (await bring(1, 2, PARTS[1])).parts_missing == 1
    done = await bring(2, 3, PARTS[2])
    assert (done.info.version, done.info.state, done.info.kcv) == (2, KeyState.READY, sm4.key_check_value(KEY))
    told = repr(await _audit(db, approval_id))
    assert all(value.hex() not in told.lower() for value in (*PARTS, KEY))
    assert f"part=3 kcv={sm4.key_check_value(PARTS[2])}" in told


async def test_components_that_make_another_key_are_brought_again(ceremonies, people, cable, agreed):
    approval_id = await agreed(
        Request(action="import-component", usage="protection", parts=2, kcv=sm4.key_check_value(KEY))
    )
    values = [PARTS[0], bytes(a ^ b for a, b in zip(PARTS[1], PARTS[2], strict=True))]
    for good in (False, True):
        second = values[1] if good else PARTS[1]
        first = ceremonies.bring_component(
            approval_id, 1, values[0], sm4.key_check_value(values[0]), operator=people[0], now=NOW
        )
        assert (await first).parts_missing == 1
        last = ceremonies.bring_component(
            approval_id, 2, second, sm4.key_check_value(second), operator=people[1], now=NOW
        )
        if good:
            assert (await last).info.version == 2
        else:
            with pytest.raises(ComponentMismatch):
                await last
            assert sorted(_states(cable)) == [1]


async def test_a_wrapped_key_comes_in(ceremonies, people, cable, agreed):
    approval_id = await agreed(Request(action="import-wrapped", usage="security", kcv=sm4.key_check_value(KEY)))
    wrapped = sm2.encrypt(cable.device.transport_public_key(), KEY)
    with pytest.raises(ComponentMismatch):
        await ceremonies.perform(approval_id, Given(blob=wrapped[:-1]), operator=people[1], now=NOW)
    done = await ceremonies.perform(approval_id, Given(blob=wrapped), operator=people[1], now=NOW)
    assert (done.info.usage, done.info.version) == (KeyUsage.SECURITY, 2)


async def test_what_is_still_needed_is_not_destroyed(ceremonies, people, cable, agreed, sealed_rows):
    for usage in ("protection", "protection", "security"):
        at_once = Request(action="rotate", usage=usage, emergency=True)
        await ceremonies.perform(await agreed(at_once), Given(), operator=people[1], now=NOW)
    for usage, version in (("protection", 1), ("security", 1)):  # the anchor; card ids
        with pytest.raises(KeyStillNeeded):
            await agreed(Request(action="destroy", usage=usage, version=version))
    second = Request(action="destroy", usage="protection", version=2, emergency=True)
    sealed_rows[2] = 7
    with pytest.raises(KeyStillNeeded, match="7"):
        await agreed(second)
    sealed_rows[2] = 0
    approval_id = await agreed(second)
    sealed_rows[2] = 1  # something was sealed since
    with pytest.raises(KeyStillNeeded):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=SETTLED)
    sealed_rows[2] = 0
    done = await ceremonies.perform(approval_id, Given(), operator=people[1], now=SETTLED)
    assert done.info.state is KeyState.DESTROYED


async def test_a_refusal_of_the_device_ends_the_ceremony(ceremonies, people, cable, agreed, db):
    approval_id = await agreed(Request(action="switch-off", usage="protection", version=9))
    with pytest.raises(KeyNotFound):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    with pytest.raises(CeremonyOver):
        await ceremonies.perform(approval_id, Given(), operator=people[1], now=NOW)
    assert (await _audit(db, approval_id))[-1][2] == "CRY-2001"


async def test_an_old_backup_does_not_bring_back_what_was_destroyed(ceremonies, people, cable, agreed, tmp_path):
    custodians = tuple(
        Component(ceremony="b", part=part, parts=2, value=value, kcv=sm4.key_check_value(value), key_kcv="")
        for part, value in enumerate(PARTS[:2], 1)
    )

    async def do(request, given=None, now=NOW):
        return await ceremonies.perform(await agreed(request), given or Given(), operator=people[1], now=now)

    for _ in range(2):
        await do(AT_ONCE)
    old = await do(Request(action="backup", parts=2), Given(components=custodians))
    await do(Request(action="destroy", usage="protection", version=2, emergency=True), now=SETTLED)
    await do(Request(action="switch-off", usage="protection", version=1, emergency=True))
    await do(Request(action="cut-off"))
    assert await ceremonies.standing() == []
    with pytest.raises(ImportRefusedAfterCutOff):
        await do(Request(action="restore", parts=2), Given(components=custodians, blob=old.blob))
    cable.device = SoftDevice.create(tmp_path / "new.json", "passphrase")  # the machine burnt down
    missing = {(entry.usage, what) for entry, what in await ceremonies.standing()}
    assert missing == {
        ("protection", "missing"),
        ("security", "missing"),
        ("signing", "missing"),
        ("device", "not cut off"),
    }
    restore = await agreed(Request(action="restore", parts=2))
    with pytest.raises(BackupRefused):
        await ceremonies.perform(restore, Given(components=custodians, blob=b"x"), operator=people[1], now=NOW)
    await ceremonies.perform(restore, Given(components=custodians, blob=old.blob), operator=people[1], now=NOW)
    assert _states(cable) == {3: KeyState.ACTIVE, 2: KeyState.DESTROYED, 1: KeyState.DISABLED}
    assert cable.device.is_cut_off
    assert await ceremonies.standing() == []


async def test_a_keystore_file_put_back_shows(ceremonies, people, cable, agreed, tmp_path):
    path = tmp_path / "k.json"
    old = path.read_bytes()
    await ceremonies.perform(await agreed(ROTATE), Given(), operator=people[1], now=NOW)
    off = await agreed(Request(action="switch-off", usage="protection", version=1, emergency=True))
    await ceremonies.perform(off, Given(), operator=people[1], now=NOW)
    path.write_bytes(old)
    assert {(entry.version, what) for entry, what in await ceremonies.standing()} == {(1, "active"), (2, "missing")}


async def test_a_version_is_switched_on_again_and_the_ledger_follows(ceremonies, people, cable, agreed):
    await ceremonies.perform(await agreed(ROTATE), Given(), operator=people[1], now=NOW)
    for action, state in (("switch-off", KeyState.DISABLED), ("switch-on", KeyState.ENABLED)):
        request = Request(action=action, usage="protection", version=1, emergency=action == "switch-off")
        done = await ceremonies.perform(await agreed(request), Given(), operator=people[1], now=NOW)
        assert done.info.state is state
        assert await ceremonies.standing() == []


async def test_a_second_rotation_waits_until_the_codes_of_the_first_are_out_of_their_life(ceremonies, people, db):
    async def rotate(at, request=ROTATE):
        approval_id = await ceremonies.propose(request, reason="r", operator=people[0], now=at)
        return await ceremonies.approve_and_run(approval_id, operator=people[1], now=at)

    assert (await rotate(NOW)).info.version == 2  # only one version was there: no code is refused
    early, late = NOW + LIFE - timedelta(seconds=1), NOW + LIFE
    with pytest.raises(CodesStillValid, match=r"101.*2026-03-01 10:24:15"):
        await ceremonies.propose(ROTATE, reason="r", operator=people[0], now=early)
    assert (await rotate(late)).info.version == 3
    at_once = late + timedelta(seconds=1)
    found = await ceremonies.affected(ROTATE, now=at_once)
    assert (found.version, found.codes, found.until) == (2, 102, late + LIFE)
    approval_id = await ceremonies.propose(AT_ONCE, reason="密钥泄露", operator=people[0], now=at_once)
    assert (await ceremonies.approve_and_run(approval_id, operator=people[1], now=at_once)).info.version == 4
    assert all("紧急 emergency" in detail for *_, detail in await _audit(db, approval_id))


async def test_a_rotation_proposed_in_time_is_refused_when_another_came_first_and_can_be_performed_later(
    ceremonies, people, agreed, cable
):
    first, second = await agreed(ROTATE), await agreed(ROTATE)
    await ceremonies.perform(first, Given(), operator=people[1], now=NOW)
    with pytest.raises(CodesStillValid):
        await ceremonies.perform(second, Given(), operator=people[1], now=NOW)
    assert _states(cable)[2] is KeyState.ACTIVE
    later = NOW + LIFE
    assert (await ceremonies.approve_and_run(second, operator=people[1], now=later)).info.version == 3


@pytest.mark.parametrize("action", ["switch-off", "destroy"])
@pytest.mark.parametrize("usage", ["protection", "signing"])
async def test_a_version_whose_codes_are_valid_is_not_ended(ceremonies, people, agreed, action, usage):
    await ceremonies.perform(await agreed(Request(action="rotate", usage=usage)), Given(), operator=people[1], now=NOW)
    old = Request(action=action, usage=usage, version=1)
    with pytest.raises(CodesStillValid):
        await ceremonies.propose(old, reason="r", operator=people[0], now=NOW + LIFE - timedelta(seconds=1))
    assert await ceremonies.affected(old, now=NOW + LIFE) is None
    if action == "switch-off":
        at_once = Request(action=action, usage=usage, version=1, emergency=True)
        done = await ceremonies.perform(await agreed(at_once), Given(), operator=people[1], now=NOW)
        assert done.info.state is KeyState.DISABLED
        assert await ceremonies.affected(ROTATE, now=NOW) is None  # nothing older verifies any more


async def test_the_last_version_numbers_are_for_emergencies_and_then_there_is_none(ceremonies, people, cable, agreed):
    device = cable.device
    for _ in range(238):
        device.generate("protection")
    assert await agreed(Request(action="rotate", usage="protection"))  # activates the waiting one: no new number
    with pytest.raises(KeyVersionsShort, match="16"):
        await agreed(Request(action="generate", usage="protection"))
    with pytest.raises(KeyVersionsShort):
        await agreed(Request(action="import-wrapped", usage="protection", kcv="ABCDEF"))
    assert await agreed(Request(action="generate", usage="signing"))
    at_once = Request(action="generate", usage="protection", emergency=True)
    for version in range(240, 256):
        done = await ceremonies.perform(await agreed(at_once), Given(), operator=people[1], now=NOW)
        assert done.info.version == version
    with pytest.raises(KeyVersionsShort):
        await agreed(at_once)
