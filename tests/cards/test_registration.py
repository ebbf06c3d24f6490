"""Many registrations in one transaction: one outcome each, nothing left of who is refused, every race decided once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import psycopg
import pytest

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.registration import Applicant, Application, Entry, Prepared, Registered, Registrar
from yimatong.cards.errors import AccountFrozen, RealNameTooWeak
from yimatong.crypto.devices.base import CryptoDevice
from yimatong.crypto.errors import DeviceUnavailable
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonDisagrees
from yimatong.empi.persons import identity
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.kit import clock
from yimatong.kit.db import raw
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

Residents = Callable[[], SimpleNamespace]
Outcome = Registered | PlatformError
ORIGIN = Origin(actor="term-1", actor_kind="terminal", holder="inst-h1", scope=PLATFORM, institution_id="inst-h1")


def applicant(resident: SimpleNamespace, *, level: int = 3, **change: str) -> Applicant:
    given = msgspec.convert({**vars(resident), **change}, Demographics)
    now = clock.now()
    mark = RealNameMark(method="certificate_read", level=level, at=now)
    return Applicant(resident=identity.checked(given, today=clock.business_date(now)), mark=mark)


async def prepare(parts: Parts, applicants: list[Applicant]) -> list[Prepared]:
    async with parts.db.read() as tx:
        found = await registration.look_up_many(await raw(tx), applicants, blinder=await parts.vault.blinder())
    return await registration.prepare_many(parts.vault, applicants, found)


async def store(parts: Parts, prepared: list[Prepared], *, holder: str | None = "inst-h1") -> list[Outcome]:
    return await store_of(parts, [(each, holder) for each in prepared])


async def store_of(parts: Parts, wanted: list[tuple[Prepared, str | None]]) -> list[Outcome]:
    entries = [Entry(prepared=each, origin=ORIGIN, holder=holder) for each, holder in wanted]
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as tx:
        return await registration.register_many(await raw(tx), entries, sealer=sealer, blinder=blinder, now=clock.now())


@pytest.fixture
def do(settings: Settings, run_async: Callable[..., Any], secrets_of: dict[str, str]) -> Callable[..., Any]:
    def run(work: Callable[[Parts], Any]) -> Any:
        async def inside() -> Any:
            parts = assemble(settings)
            try:
                return await work(parts)
            finally:
                await parts.close()

        return run_async(inside())

    return run


def rows_of(database_url: str, mpi: object) -> tuple[int, ...]:
    """Return how many rows a person has in each table of a registration."""
    counts = []
    with psycopg.connect(database_url) as connection:
        for table in ("empi_certificate", "empi_person", "empi_contribution", "cards_account"):
            row = connection.execute(f"SELECT count(*) FROM {table} WHERE mpi = %s", [mpi]).fetchone()
            counts.append(row[0] if row else -1)
    return tuple(counts)


def test_a_bad_one_never_fails_its_neighbours_and_leaves_nothing(
    do: Callable[..., Any], new_resident: Residents, database_url: str
) -> None:
    first, twice, stranger, frozen = (new_resident() for _ in range(4))

    async def work(parts: Parts) -> tuple[list[Prepared], list[Outcome]]:
        before = await store(parts, await prepare(parts, [applicant(frozen)]))
        assert isinstance(before[0], Registered)
        async with parts.db.transaction() as tx:
            await (await raw(tx)).execute("UPDATE cards_account SET state = 'frozen' WHERE vuid = %s", [before[0].vuid])
        wanted = [
            applicant(first),
            applicant(twice),
            applicant(twice),
            applicant(twice, name="李四"),
            applicant(frozen),
            applicant(stranger),
        ]
        prepared = await prepare(parts, wanted)
        return prepared, await store(parts, prepared)

    prepared, done = do(work)
    assert [type(each) for each in done] == [
        Registered,
        Registered,
        Registered,
        PersonDisagrees,
        AccountFrozen,
        Registered,
    ]
    assert done[1].vuid == done[2].vuid
    assert (done[1].opened, done[2].opened) == (True, False)
    assert rows_of(database_url, done[0].mpi) == (1, 1, 1, 1)
    assert rows_of(database_url, done[1].mpi) == (1, 1, 2, 1)
    assert rows_of(database_url, prepared[3].mpi) == (0, 0, 0, 0)


def test_a_refused_new_certificate_is_free_again(
    do: Callable[..., Any], new_resident: Residents, database_url: str
) -> None:
    """A certificate that the registry ties to a frozen account's person is refused; its claim is undone."""
    known, extra = new_resident(), new_resident()

    async def work(parts: Parts) -> tuple[Any, Any]:
        owner = (await store(parts, await prepare(parts, [applicant(known)])))[0]
        assert isinstance(owner, Registered)
        async with parts.db.transaction() as tx:
            await (await raw(tx)).execute("UPDATE cards_account SET state = 'frozen' WHERE vuid = %s", [owner.vuid])
        prepared = (await prepare(parts, [applicant(extra)]))[0]
        tied = msgspec.structs.replace(prepared, mpi=owner.mpi, vuid=owner.vuid, fresh=False)
        return owner, (await store(parts, [tied]))[0]

    owner, refused = do(work)
    assert isinstance(refused, AccountFrozen)
    assert rows_of(database_url, owner.mpi) == (1, 1, 1, 1)


def test_a_weaker_proof_gets_no_code_and_preissued_is_claimed(do: Callable[..., Any], new_resident: Residents) -> None:
    someone = new_resident()

    async def work(parts: Parts) -> list[Outcome]:
        listed = (await store(parts, await prepare(parts, [applicant(someone, level=1)]), holder=None))[0]
        own = (await store(parts, await prepare(parts, [applicant(someone, level=2)]), holder="app-1"))[0]
        weak = (await store(parts, await prepare(parts, [applicant(someone, level=1)]), holder="app-2"))[0]
        return [listed, own, weak]

    listed, own, weak = do(work)
    assert isinstance(listed, Registered)
    assert isinstance(own, Registered)
    assert (listed.level, own.level, own.vuid) == (0, 2, listed.vuid)
    assert isinstance(weak, RealNameTooWeak)


def test_two_transactions_at_once_open_one_account(do: Callable[..., Any], new_resident: Residents) -> None:
    """Both were prepared before either is stored: they carry different persons for the same certificates."""
    people = [new_resident() for _ in range(20)]

    async def work(parts: Parts) -> Any:
        one = await prepare(parts, [applicant(each) for each in people])
        two = await prepare(parts, [applicant(each) for each in reversed(people)])
        return await asyncio.gather(store(parts, one), store(parts, two))

    one, two = do(work)
    assert [each.vuid for each in one] == [each.vuid for each in reversed(two)]
    assert all(a.opened != b.opened for a, b in zip(one, reversed(two), strict=True))


def test_holders_of_one_transaction_see_each_other(do: Callable[..., Any], new_resident: Residents) -> None:
    someone = new_resident()

    async def work(parts: Parts) -> list[Outcome]:
        strong, weak, again = await prepare(parts, [applicant(someone, level=level) for level in (3, 1, 3)])
        return await store_of(parts, [(strong, "inst-h1"), (weak, "app-2"), (again, "app-1"), (weak, "inst-h1")])

    first, refused, other, own = do(work)
    assert isinstance(refused, RealNameTooWeak)
    assert [(each.level, each.opened) for each in (first, other, own)] == [(3, True), (3, False), (3, False)]
    assert len({each.vuid for each in (first, other, own)}) == 1


def test_transactions_with_the_same_people_in_another_order_do_not_block_each_other(
    do: Callable[..., Any], new_resident: Residents
) -> None:
    """The second registration of a person in one transaction comes after the first of everybody else."""
    people = [new_resident() for _ in range(6)]

    async def work(parts: Parts) -> None:
        known = await prepare(parts, [applicant(each) for each in people])
        await store(parts, known, holder=None)
        for turn in range(15):
            names = [f"{name}-{turn}" for name in ("one", "two")]
            await asyncio.gather(
                *(
                    store_of(
                        parts,
                        [(each, mine) for each in known] + [(each, other) for each in known[at * 3 : at * 3 + 3]],
                    )
                    for at, (mine, other) in enumerate((names, names[::-1]))
                )
            )

    do(work)


class Line:
    """The line to the device; cut, the device makes no key any more."""

    def __init__(self, device: CryptoDevice) -> None:
        self._device = device
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        if self.is_cut and name not in {"inline", "key_versions"}:
            raise DeviceUnavailable(device="line")
        return getattr(self._device, name)


def test_a_race_is_answered_without_the_device(do: Callable[..., Any], new_resident: Residents) -> None:
    """The person's id turned out another one than prepared; the device is away by then, and nobody has to know."""
    one = applicant(new_resident())

    async def race(parts: Parts) -> tuple[Any, str]:
        (first,), (second,) = await prepare(parts, [one]), await prepare(parts, [one])
        assert first.mpi != second.mpi
        await store(parts, [first])
        entry = Entry(prepared=second, origin=ORIGIN, holder="inst-h1")
        application = Application(entry=entry, refer=await parts.vault.referrer("inst-h1"))
        line = Line(parts.vault.device)
        vault = Vault(cast("CryptoDevice", line), issuer=parts.vault.issuer, anchor_version=parts.vault.anchor)
        await vault.sealer(), await vault.blinder()
        line.is_cut = True
        async with parts.db.transaction() as tx:
            (answer,) = await Registrar(vault).register(await raw(tx), [application])
        return answer, await parts.vault.mpi_ref("inst-h1", first.mpi.hex)

    answer, expected = do(race)
    assert answer.mpi_ref == expected


def test_requests_that_share_a_transaction_keep_their_own_answers(
    client: Callable[[str], Client], new_resident: Residents
) -> None:
    """Thirty-two at once, every fourth a stranger's certificate, every fifth key used twice."""
    owner = new_resident()
    client("term-1").register_account(vars(owner), real_name="certificate_read")
    started = threading.Barrier(32)

    def one(index: int) -> tuple[str, Any]:
        resident = vars(owner) | {"name": "王五"} if index % 4 == 0 else vars(people[index])
        body = {"resident": resident, "real_name": "certificate_read"}
        started.wait()
        try:
            answers = [
                client("term-1").call("POST", "/api/v1/accounts", body, idempotency_key=f"shared-{index}")
                for _ in range(2 if index % 5 == 0 else 1)
            ]
        except ApiError as refusal:
            return refusal.code, None
        assert all(answer == answers[0] for answer in answers)
        return answers[0]["id_number"], answers[0]

    people = [new_resident() for _ in range(32)]
    client("term-1")
    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(one, range(32)))
    assert [code for code, _ in outcomes] == [
        "EMP-1001" if index % 4 == 0 else people[index].id_number for index in range(32)
    ]


def test_a_key_at_once_for_two_requests_is_refused_for_one(
    client: Callable[[str], Client], new_resident: Residents
) -> None:
    started = threading.Barrier(8)
    people = [new_resident() for _ in range(8)]

    def one(index: int) -> str:
        body = {"resident": vars(people[index]), "real_name": "certificate_read"}
        started.wait()
        try:
            return str(client("term-1").call("POST", "/api/v1/accounts", body, idempotency_key="one-key")["vuid"])
        except ApiError as refusal:
            return refusal.code

    client("term-1")
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(8)))
    assert sorted(outcomes).count("ACC-1008") == 7


def test_a_visit_card_becomes_an_electronic_card_online(
    client: Callable[[str], Client], new_resident: Residents
) -> None:
    resident, other = new_resident(), new_resident()
    his = client("his-1")
    body = {"visit_card": "jz-0001", "resident": vars(resident), "real_name": "certificate_read"}
    made = his.call("POST", "/api/v1/visit-cards", body)
    assert made["opened"]
    assert his.call("POST", "/api/v1/visit-cards", body) == {**made, "opened": False}
    assert his.call("POST", "/api/v1/visit-cards/find", {"visit_card": "JZ-0001"}) == {**made, "opened": False}
    assert his.issue_code(made["vuid"], code_class="visit")["text"].startswith(made["vuid"])
    for caller, path, wanted, code in (
        (his, "/api/v1/visit-cards", {**body, "resident": vars(other)}, "CRD-4104"),
        (client("his-2"), "/api/v1/visit-cards/find", {"visit_card": "jz-0001"}, "CRD-4105"),
        (client("app-1"), "/api/v1/visit-cards/find", {"visit_card": "jz-0001"}, "ACC-1006"),
    ):
        with pytest.raises(ApiError) as refused:
            caller.call("POST", path, wanted)
        assert refused.value.code == code
