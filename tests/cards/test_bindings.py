"""Bank cards and insurance cards bound over HTTP, with the simulated bank and insurer on the wire."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.access.caller import PLATFORM
from yimatong.apps import parties
from yimatong.apps.assembly import assemble
from yimatong.cards.bindings import queries, tasks
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong.sandbox.local import LocalWorld
from yimatong.standards.bank_cards import check_digit
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]
Run = Callable[..., Any]


def card(prefix: str = "622202") -> str:
    number = prefix + f"{secrets.randbelow(10**12):012d}"
    return number + check_digit(number)


def code(act: Callable[[], Any]) -> str:
    try:
        act()
    except ApiError as error:
        return error.code
    return ""


def enrol(client: Client, resident: SimpleNamespace) -> str:
    return str(client.register_account(vars(resident), real_name="police_online")["vuid"])


def opened(world: LocalWorld, number: str, holder: SimpleNamespace, **more: str) -> None:
    facts = {"number": number, "name": holder.name, "id_number": holder.id_number, "phone": holder.phone}
    world.control("/control/bank/cards", facts | more)


def sent(world: LocalWorld, binding_id: str) -> str:
    found = [each for each in world.control("/control/bank/messages") if each["request_no"] == binding_id]
    return str(found[0]["secret"])


def bound(world: LocalWorld, client: Client, vuid: str, number: str) -> Any:
    started = client.start_bank_card(vuid, number)
    return client.confirm_bank_card(vuid, started["binding_id"], code=sent(world, started["binding_id"]))


def sql(url: str, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(autouse=True)
def _well_behaved(world: LocalWorld) -> Iterator[None]:
    yield
    for party in ("police", "bank", "insurer"):
        world.control(f"/control/parties/{party}/behaviour", {})


@pytest.fixture
def work(settings: Settings, run_async: Run) -> Callable[..., int]:
    """Run the worker's step once, as if it were so many seconds later."""

    def run(later_s: int = 0) -> int:
        async def step() -> int:
            parts = assemble(settings)
            desk = parties.bindings(parts.db, parts.vault, parts.outbound, settings)
            done = await tasks.run_due(desk, now=clock.now() + timedelta(seconds=later_s))
            await parts.close()
            return done

        return int(run_async(step()))

    return run


def test_bind_list_default_and_unbind(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, settings: Settings, run_async: Run
) -> None:
    app = client("app-1")
    vuid, first, second = enrol(app, resident), card(), card("621700")
    opened(world, first, resident)
    started = app.start_bank_card(vuid, " ".join((first[:6], first[6:])))
    assert (started["state"], started["challenge"], started["sent_to"]) == ("started", "sms", "138****8000")
    assert started["number"] == f"**** {first[-4:]}"
    assert (started["bank"], started["bank_zh"], started["kind"]) == ("ICBC", "中国工商银行", "debit")
    done = app.confirm_bank_card(vuid, started["binding_id"], code=sent(world, started["binding_id"]))
    assert (done["state"], done["is_default"]) == ("confirmed", True)
    assert code(lambda: app.start_bank_card(vuid, first)) == "CRD-1041"

    later = bound(world, app, vuid, second)
    assert later["is_default"] is False
    assert app.choose_default_bank_card(vuid, later["binding_id"])["is_default"] is True
    assert [each["is_default"] for each in app.bank_cards(vuid)["cards"]] == [False, True]

    async def usable() -> list[tuple[str, str, bool, str]]:
        parts = assemble(settings)
        async with parts.db.read() as tx:
            cards = await queries.bound_cards(tx, await parts.vault.sealer(), vuid, scope=PLATFORM)
        await parts.close()
        return [(str.__str__(c.number), c.bank, c.is_default, str.__str__(c.agreement_no)[:2]) for c in cards]

    assert run_async(usable()) == [(second, "CCB", True, "QP"), (first, "ICBC", False, "QP")]

    ended = app.unbind_bank_card(vuid, later["binding_id"], id_type="01", id_number=resident.id_number, number=second)
    assert (ended["state"], ended["is_default"]) == ("ended", False)
    assert [(c["state"], c["is_default"]) for c in app.bank_cards(vuid)["cards"]] == [
        ("confirmed", True),
        ("ended", False),
    ]
    at_bank = {each["request_no"]: each["state"] for each in world.control("/control/bank/messages")}
    assert at_bank[later["binding_id"]] == "ended"
    events = [each["what"] for each in app.call("GET", f"/api/v1/accounts/{vuid}/history")["events"]]
    assert events.count("bank_card_bound") == 2
    assert events.count("bank_card_unbound") == 1
    again = bound(world, app, vuid, second)
    assert again["state"] == "confirmed"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("62220217000000000", "STD-1502"),
        ("6222021700000000013", "STD-1502"),
        ("abcdefghijklmnop", "STD-1501"),
        ("4111111111111111", "STD-1503"),
        ("622202170000000" + check_digit("622202170000000"), "STD-1503"),
    ],
)
def test_numbers_are_judged_before_the_bank_is_asked(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, number: str, expected: str
) -> None:
    app = client("app-1")
    vuid = enrol(app, resident)
    world.control("/control/parties/bank/behaviour", {"state": "down"})
    assert code(lambda: app.start_bank_card(vuid, number)) == expected
    assert app.bank_cards(vuid)["cards"] == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [({"name": "李四"}, "CRD-1045"), ({"phone": "13911112222"}, "CRD-1045"), ({"state": "lost"}, "CRD-1046")],
)
def test_the_card_must_be_hers(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, facts: dict[str, str], expected: str
) -> None:
    app, number = client("app-1"), card()
    vuid = enrol(app, resident)
    opened(world, number, resident, **facts)
    assert code(lambda: app.start_bank_card(vuid, number)) == expected
    assert [each["state"] for each in app.bank_cards(vuid)["cards"]] == ["failed"]


def test_three_wrong_codes_fail_and_a_repeat_costs_no_try(
    client: Clients, world: LocalWorld, resident: SimpleNamespace
) -> None:
    app = client("app-1")
    vuid, number = enrol(app, resident), card()
    binding_id = app.start_bank_card(vuid, number)["binding_id"]
    wrong = f"{(int(sent(world, binding_id)) + 1) % 10**6:06d}"
    for _ in range(2):
        with pytest.raises(ApiError) as refused:
            app.confirm_bank_card(vuid, binding_id, code=wrong, idempotency_key="first-wrong")
        assert (refused.value.code, app.bank_cards(vuid)["cards"][0]["tries_left"]) == ("CRD-1047", 2)
    assert code(lambda: app.confirm_bank_card(vuid, binding_id, amount_fen=12)) == "CRD-1050"
    assert code(lambda: app.confirm_bank_card(vuid, binding_id, code=wrong)) == "CRD-1047"
    assert code(lambda: app.confirm_bank_card(vuid, binding_id, code=wrong)) == "CRD-1048"
    assert code(lambda: app.confirm_bank_card(vuid, binding_id, code=sent(world, binding_id))) == "CRD-1048"
    assert bound(world, app, vuid, number)["state"] == "confirmed"


def test_small_amount_and_expiry(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, database_url: str, work: Callable[..., int]
) -> None:
    app, number = client("app-1"), card()
    vuid = enrol(app, resident)
    opened(world, number, resident, challenge="small_amount")
    started = app.start_bank_card(vuid, number)
    assert started["challenge"] == "small_amount"
    assert code(lambda: app.confirm_bank_card(vuid, started["binding_id"], code="123456")) == "CRD-1050"
    done = app.confirm_bank_card(vuid, started["binding_id"], amount_fen=int(sent(world, started["binding_id"])))
    assert done["state"] == "confirmed"
    late = app.start_bank_card(vuid, card())["binding_id"]
    sql(database_url, "UPDATE cards_binding SET expires_at = now() - interval '1 s' WHERE binding_id = %s", late)
    assert code(lambda: app.confirm_bank_card(vuid, late, code=sent(world, late))) == "CRD-1049"
    world.control("/control/bank/expire", {"request_no": (other := app.start_bank_card(vuid, card()))["binding_id"]})
    assert code(lambda: app.confirm_bank_card(vuid, other["binding_id"], code="000000")) == "CRD-1049"
    left = app.start_bank_card(vuid, card())["binding_id"]
    work(400)
    assert {c["binding_id"]: c["state"] for c in app.bank_cards(vuid)["cards"]}[left] == "expired"


def test_a_card_belongs_to_one_holder(
    client: Clients, world: LocalWorld, new_resident: Callable[[], SimpleNamespace]
) -> None:
    """The bank is made to take both for the holder; here the second one is refused by name."""
    number, both = card(), [new_resident(), new_resident()]
    vuids = [enrol(client(f"app-{i + 1}"), each) for i, each in enumerate(both)]

    def start(i: int) -> Any:
        try:
            return client(f"app-{i + 1}").start_bank_card(vuids[i], number)["binding_id"]
        except ApiError as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(start, (0, 1)))
    assert sorted(result.startswith("bkc_") for result in results) == [False, True]
    assert {result for result in results if not result.startswith("bkc_")} <= {"CRD-1042", "CRD-1051", "CRD-1045"}
    winner = [result.startswith("bkc_") for result in results].index(True)
    client(f"app-{winner + 1}").confirm_bank_card(vuids[winner], results[winner], code=sent(world, results[winner]))
    assert start(1 - winner) == "CRD-1042"


def test_two_confirm_at_once_bind_once(client: Clients, world: LocalWorld, resident: SimpleNamespace) -> None:
    app = client("app-1")
    vuid = enrol(app, resident)
    binding_id = app.start_bank_card(vuid, card())["binding_id"]
    right = sent(world, binding_id)
    world.control("/control/parties/bank/behaviour", {"slow_s": 0.3})
    with ThreadPoolExecutor(4) as pool:
        acts = [pool.submit(code, lambda: app.confirm_bank_card(vuid, binding_id, code=right)) for _ in range(4)]
        answers = [each.result() for each in acts]
    assert "" in answers
    assert set(answers) <= {"", "CRD-1051"}
    assert [each["state"] for each in app.bank_cards(vuid)["cards"]] == ["confirmed"]
    events = [each["what"] for each in app.call("GET", f"/api/v1/accounts/{vuid}/history")["events"]]
    assert events.count("bank_card_bound") == 1


def test_lost_answers_are_asked_for(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, work: Callable[..., int]
) -> None:
    app = client("app-1")
    vuid, number = enrol(app, resident), card()
    world.control("/control/parties/bank/behaviour", {"lost_answers": 1})
    with pytest.raises(ApiError) as unknown:
        app.start_bank_card(vuid, number)
    assert (unknown.value.code, unknown.value.http_status) == ("KIT-5003", 202)
    (pending,) = app.bank_cards(vuid)["cards"]
    assert (pending["state"], pending["pending"]) == ("started", True)
    assert code(lambda: app.start_bank_card(vuid, number)) == "CRD-1051"
    work(30)
    (waiting,) = app.bank_cards(vuid)["cards"]
    assert (waiting["pending"], waiting["challenge"]) == (False, "sms")
    world.control("/control/parties/bank/behaviour", {"lost_answers": 1})
    right = sent(world, waiting["binding_id"])
    assert code(lambda: app.confirm_bank_card(vuid, waiting["binding_id"], code=right)) == "KIT-5003"
    assert code(lambda: app.confirm_bank_card(vuid, waiting["binding_id"], code=right)) == "CRD-1051"
    work(30)
    assert [each["state"] for each in app.bank_cards(vuid)["cards"]] == ["confirmed"]


def test_a_crash_between_intent_and_call_binds_once(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, database_url: str, work: Callable[..., int]
) -> None:
    """The intent stands, the bank never heard of it: the same request goes on with it, and left alone it fails."""
    app = client("app-1")
    vuid, number = enrol(app, resident), card()
    world.control("/control/parties/bank/behaviour", {"state": "down"})
    assert code(lambda: app.start_bank_card(vuid, number, idempotency_key="crashed")) == "KIT-5003"
    world.control("/control/parties/bank/behaviour", {})
    work(30)
    assert [each["state"] for each in app.bank_cards(vuid)["cards"]] == ["started"]
    again = app.start_bank_card(vuid, number, idempotency_key="crashed")
    assert app.start_bank_card(vuid, number, idempotency_key="crashed") == again
    assert len(app.bank_cards(vuid)["cards"]) == 1
    assert code(lambda: app.start_bank_card(vuid, card(), idempotency_key="crashed")) == "ACC-1008"
    other = card("621661")
    world.control("/control/parties/bank/behaviour", {"state": "down"})
    assert code(lambda: app.start_bank_card(vuid, other)) == "KIT-5003"
    world.control("/control/parties/bank/behaviour", {})
    work(90)
    states = {each["bank"]: (each["state"], each["reason"]) for each in app.bank_cards(vuid)["cards"]}
    assert states["BOC"] == ("failed", "not_reached")


def test_busy_and_refusing_banks_leave_nothing_pending(
    client: Clients, world: LocalWorld, resident: SimpleNamespace
) -> None:
    app = client("app-1")
    vuid, number = enrol(app, resident), card()
    world.control("/control/parties/bank/behaviour", {"busy": 1})
    assert code(lambda: app.start_bank_card(vuid, number, idempotency_key="busy-bank")) == "CRD-1063"
    binding_id = app.start_bank_card(vuid, number, idempotency_key="busy-bank")["binding_id"]
    assert [each["state"] for each in app.bank_cards(vuid)["cards"]] == ["started"]
    world.control("/control/parties/bank/behaviour", {"busy": 1})
    right = sent(world, binding_id)
    assert code(lambda: app.confirm_bank_card(vuid, binding_id, code=right)) == "CRD-1063"
    assert app.confirm_bank_card(vuid, binding_id, code=right)["state"] == "confirmed"


def test_unbinding_needs_both_and_three_wrong_tries_lock_the_day(
    client: Clients, world: LocalWorld, resident: SimpleNamespace
) -> None:
    app = client("app-1")
    vuid, number = enrol(app, resident), card()
    binding_id = bound(world, app, vuid, number)["binding_id"]
    right = {"id_type": "01", "id_number": resident.id_number, "number": number}
    for wrong in ({"number": card()}, {"id_number": "11010519491231002X"}, {"number": "1234567890123"}):
        assert code(lambda w=wrong: app.unbind_bank_card(vuid, binding_id, **(right | w))) == "CRD-1053"  # type: ignore[misc]
    assert code(lambda: app.unbind_bank_card(vuid, binding_id, **right)) == "CRD-1054"
    assert app.bank_cards(vuid)["cards"][0]["state"] == "confirmed"


def test_limits_and_states_of_the_account(client: Clients, world: LocalWorld, resident: SimpleNamespace) -> None:
    app, his = client("app-1"), client("his-1")
    vuid = enrol(app, resident)
    his.register_account(vars(resident), real_name="certificate_read")
    for prefix in ("622202", "621700", "621661", "622848", "621098"):
        bound(world, app, vuid, card(prefix))
    assert code(lambda: app.start_bank_card(vuid, card())) == "CRD-1043"
    his.change_account_state(vuid, "frozen")
    assert code(lambda: app.start_bank_card(vuid, card())) == "CRD-1002"
    his.change_account_state(vuid, "cancelled")
    assert {each["state"] for each in his.bank_cards(vuid)["cards"]} == {"ended"}
    assert code(lambda: app.start_bank_card(vuid, card())) == "CRD-1003"


def test_cancelling_is_told_to_the_bank(
    client: Clients, world: LocalWorld, resident: SimpleNamespace, work: Callable[..., int]
) -> None:
    app = client("app-1")
    vuid = enrol(app, resident)
    binding_id = bound(world, app, vuid, card())["binding_id"]
    app.change_account_state(vuid, "cancelled")
    work(1)
    at_bank = {each["request_no"]: each["state"] for each in world.control("/control/bank/messages")}
    assert at_bank[binding_id] == "ended"


def test_bindings_follow_the_account_to_its_new_certificate(
    client: Clients, world: LocalWorld, resident: SimpleNamespace
) -> None:
    app = client("app-1")
    passport = SimpleNamespace(**(vars(resident) | {"id_type": "03", "id_number": f"E{secrets.randbelow(10**8):08d}"}))
    vuid, number = enrol(app, passport), card()
    binding_id = bound(world, app, vuid, number)["binding_id"]
    old = {"id_type": "03", "id_number": passport.id_number}
    body = {"resident": vars(resident), "real_name": "police_online", "old": old}
    new = app.call("POST", f"/api/v1/accounts/{vuid}/certificate", body)["vuid"]
    assert new != vuid
    assert [each["binding_id"] for each in app.bank_cards(new)["cards"]] == [binding_id]
    proof = {"id_type": "01", "id_number": resident.id_number, "number": number}
    assert app.unbind_bank_card(new, binding_id, **proof)["state"] == "ended"
