"""Insurance cards bound over HTTP, real names proven by police, bank and insurer, and what the logs and tables keep."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest
from test_bindings import bound, card, code, enrol, opened

from yimatong.apps import parties
from yimatong.apps.assembly import assemble
from yimatong.cards.accounts.schemas import RealNameProof
from yimatong.cards.bindings.schemas import NewInsuranceCard
from yimatong.cards.errors import PartyNotConnected
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong.sandbox.local import LocalWorld
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]


def insurance_card() -> str:
    return "61" + secrets.token_hex(4).upper()


@pytest.fixture(autouse=True)
def _well_behaved(world: LocalWorld) -> Iterator[None]:
    yield
    for party in ("police", "bank", "insurer"):
        world.control(f"/control/parties/{party}/behaviour", {})


def issued(world: LocalWorld, number: str, holder: SimpleNamespace, **more: str) -> None:
    facts = {"number": number, "name": holder.name, "id_number": holder.id_number, "password": "135790"}
    world.control("/control/insurer/cards", facts | more)


@pytest.mark.parametrize(("kind", "insurance"), [("social_card", "employee"), ("cooperative_card", "cooperative")])
def test_bind_look_up_and_unbind(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, kind: str, insurance: str
) -> None:
    app, number = client("app-1"), insurance_card()
    vuid = enrol(app, resident)
    issued(world, number, resident, kind=kind, insurance=insurance, place="610300")
    done = app.bind_insurance_card(vuid, number.lower(), password="135790", kind=kind)
    assert (done["state"], done["kind"], done["insurance"], done["place"]) == ("confirmed", kind, insurance, "610300")
    assert done["number"] == f"**** {number[-4:]}"
    assert app.insurance_cards(vuid)["cards"] == [done]
    assert app.bank_cards(vuid)["cards"] == []
    proof = {"id_type": "01", "id_number": resident.id_number, "number": number}
    assert code(lambda: app.unbind_bank_card(vuid, done["binding_id"], **proof)) == "CRD-1040"
    assert code(lambda: app.unbind_insurance_card(vuid, done["binding_id"], **(proof | {"number": "61000000"}))) == (
        "CRD-1053"
    )
    assert app.unbind_insurance_card(vuid, done["binding_id"], **proof)["state"] == "ended"


def test_wrong_passwords_and_the_insurers_lock(client: Clients, world: LocalWorld, resident: SimpleNamespace) -> None:
    app, number = client("app-1"), insurance_card()
    vuid = enrol(app, resident)
    issued(world, number, resident)
    for left in (4, 3, 2, 1):
        with pytest.raises(ApiError) as wrong:
            app.bind_insurance_card(vuid, number, password="000000", idempotency_key=f"wrong-{left}")
        assert (wrong.value.code, str(left) in str(wrong.value)) == ("CRD-1055", True)
    assert code(lambda: app.bind_insurance_card(vuid, number, password="000000", idempotency_key="wrong-1")) == (
        "CRD-1055"
    )
    assert code(lambda: app.bind_insurance_card(vuid, number, password="000000")) == "CRD-1056"
    assert code(lambda: app.bind_insurance_card(vuid, number, password="135790")) == "CRD-1056"


def test_a_silent_insurer_is_asked_again_with_the_same_request(
    client: Clients, world: LocalWorld, resident: SimpleNamespace
) -> None:
    app, number = client("app-1"), insurance_card()
    vuid = enrol(app, resident)
    issued(world, number, resident)
    world.control("/control/parties/insurer/behaviour", {"lost_answers": 1})
    act = lambda: app.bind_insurance_card(vuid, number, password="135790", idempotency_key="silent")  # noqa: E731
    assert code(act) == "KIT-5003"
    assert act()["state"] == "confirmed"
    assert len(app.insurance_cards(vuid)["cards"]) == 1


def register(client: Client, resident: SimpleNamespace, method: str, **proof: str) -> Any:
    return client.register_account(vars(resident), real_name=method, proof=proof or None)


def test_real_name_by_each_party(
    client: Clients, world: LocalWorld, new_resident: Callable[[], SimpleNamespace], database_url: str
) -> None:
    app, number, insured = client("app-1"), card(), insurance_card()
    by_bank, by_insurer, by_police = new_resident(), new_resident(), new_resident()
    opened(world, number, by_bank)
    issued(world, insured, by_insurer)
    vuids = [
        register(app, by_bank, "bank_online", bank_card=number)["vuid"],
        register(app, by_insurer, "insurance_online", insurance_card=insured)["vuid"],
        register(app, by_police, "police_online")["vuid"],
    ]
    assert [app.read_account(vuid)["real_name_level"] for vuid in vuids] == [2, 2, 2]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT real_name_method, real_name_trace FROM empi_contribution JOIN cards_account USING (mpi)"
            " WHERE vuid = ANY(%s)",
            (vuids,),
        ).fetchall()
    assert {method for method, _ in rows} == {"bank_online", "insurance_online", "police_online"}
    assert all(trace.startswith("RN") and len(trace) == 26 for _, trace in rows)


@pytest.mark.parametrize(
    ("method", "proof", "expected"),
    [
        ("bank_online", {}, "CRD-1060"),
        ("insurance_online", {"bank_card": "6222021700000000012"}, "CRD-1060"),
        ("police_online", {"bank_card": "6222021700000000012"}, "CRD-1061"),
        ("stated", {"insurance_card": "61A123456"}, "CRD-1061"),
        ("bank_online", {"bank_card": "6222021700000000013"}, "STD-1502"),
        ("insurance_online", {"insurance_card": "61-A+12345"}, "STD-1504"),
        ("hearsay", {}, "KIT-1001"),
        ("bank_online", {"bank_card": "6222021700000000012", "pin": "1"}, "KIT-1001"),
    ],
)
def test_proofs_that_do_not_fit_are_refused_by_name(
    client: Clients, resident: SimpleNamespace, method: str, proof: dict[str, str], expected: str
) -> None:
    assert code(lambda: register(client("app-1"), resident, method, **proof)) == expected


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [({"busy": 1}, "CRD-1063"), ({"lost_answers": 1}, "KIT-5003"), ({"state": "down"}, "KIT-5003")],
)
def test_parties_that_do_not_answer(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, behaviour: dict[str, Any], expected: str
) -> None:
    world.control("/control/parties/bank/behaviour", behaviour)
    assert code(lambda: register(client("app-1"), resident, "bank_online", bank_card=card())) == expected


def test_somebody_elses_cards_do_not_prove_a_name(
    client: Clients, world: LocalWorld, new_resident: Callable[[], SimpleNamespace]
) -> None:
    holder, other, number, insured = new_resident(), new_resident(), card(), insurance_card()
    opened(world, number, holder)
    issued(world, insured, holder)
    app = client("app-1")
    assert code(lambda: register(app, other, "bank_online", bank_card=number)) == "CRD-1005"
    assert code(lambda: register(app, holder, "bank_online", bank_card=number, bank_phone="13911112222")) == "CRD-1005"
    assert code(lambda: register(app, other, "insurance_online", insurance_card=insured)) == "CRD-1005"


@pytest.mark.parametrize(("change", "expected"), [("secret", "CRD-1064"), ("url", "KIT-5002"), ("mode", "CRD-1062")])
async def test_wrong_keys_a_dead_address_and_no_contract(
    settings: Settings, resident: SimpleNamespace, change: str, expected: str
) -> None:
    altered = {
        "secret": {"bank_secret": "00" * 32},
        "url": {"bank_base_url": "http://127.0.0.1:9"},
        "mode": {"mode": "production"},
    }
    wrong = msgspec.structs.replace(settings, **altered[change])
    parts = assemble(settings)
    person = msgspec.convert(vars(resident), Demographics)
    with pytest.raises(Exception) as failed:  # noqa: PT011 -- each has its own class, compared by code
        await parties.real_name(parts.outbound, wrong).check(
            "bank_online", person, RealNameProof(bank_card=card()), now=clock.now()
        )
    await parts.close()
    assert failed.value.code == expected  # type: ignore[attr-defined]
    assert (expected == "CRD-1062") is isinstance(failed.value, PartyNotConnected)


def test_nothing_is_kept_in_the_clear(
    client: Clients,
    world: LocalWorld,
    resident: SimpleNamespace,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    app, number, insured, password = client("app-1"), card(), insurance_card(), "s3cr3t-of-hers"
    vuid = enrol(app, resident)
    issued(world, insured, resident, password=password)
    bound(world, app, vuid, number)
    app.bind_insurance_card(vuid, insured, password=password)
    agreement = next(
        each["agreement_no"] for each in world.control("/control/bank/messages") if each["card_number"] == number
    )
    with psycopg.connect(database_url) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        dump = "".join(
            str(row[0]) for table in tables for row in connection.execute(f'SELECT t::text FROM "{table}" t')
        )
    for secret in (number, insured, password, agreement):
        assert secret not in dump
        assert secret.encode().hex() not in dump
        assert secret not in caplog.text
    assert number[-4:] in dump
    assert "s3cr3t" not in repr(NewInsuranceCard(kind="social_card", number=insured, password=password))
