"""快捷支付 and 二码合一 the whole way over HTTP: a bound card pays by an SMS code or at the window."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from core_world import HOSPITAL, OTHER, client, core_url, make_resident, secrets_of, settings, world  # noqa: F401
from quickpay_bank import merchant_of

from yimatong.apps.assembly import assemble
from yimatong.kit import clock
from yimatong.payments import accounts
from yimatong.standards.bank_cards import check_digit
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]


@pytest.fixture(scope="module", autouse=True)
def merchants(settings, world, run_async, secrets_of) -> None:  # noqa: F811
    """Both hospitals and the platform are merchants of the bank of bound cards."""
    made = [merchant_of(world, HOSPITAL), merchant_of(world, OTHER), merchant_of(world, "platform")]

    async def enter() -> None:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            for each in made:
                await accounts.put_account(connection, parts.vault, each, now=clock.now())
        await parts.close()

    run_async(enter())


@pytest.fixture(autouse=True)
def calm(world) -> Iterator[None]:  # noqa: F811
    yield
    world.control("/control/quickpay/faults", {})


def code_of(act: Callable[[], Any]) -> str:
    try:
        act()
    except ApiError as error:
        return error.code
    return ""


@pytest.fixture
def holder(client, world) -> tuple[str, str]:  # noqa: F811
    """A resident with a bound card: her VUID and the binding."""
    vuid = str(client("his-1").register_account(vars(make_resident()), real_name="police_online")["vuid"])
    return vuid, bound(client, world, vuid)


def bound(client: Clients, world, vuid: str) -> str:  # noqa: F811
    number = f"6222021{secrets.randbelow(10**11):011d}"
    started = client("his-1").start_bank_card(vuid, number + check_digit(number))["binding_id"]
    sent = next(each for each in world.control("/control/bank/messages") if each["request_no"] == started)
    assert client("his-1").confirm_bank_card(vuid, started, code=sent["secret"])["state"] == "confirmed"
    return str(started)


def order(client: Clients, vuid: str | None, amount_fen: int = 1234, caller: str = "his-1") -> str:  # noqa: F811
    wanted = {
        "source_no": secrets.token_hex(8),
        "description": "门诊缴费",
        "items": [{"name": "西药费", "amount_fen": amount_fen}],
        "amount_fen": amount_fen,
    }
    placed = client(caller).call("POST", "/api/v1/orders", wanted | ({"vuid": vuid} if vuid else {}))
    return str(placed["order_no"])


def state(client: Clients, order_no: str, caller: str = "his-1") -> str:  # noqa: F811
    return str(client(caller).read_order(order_no)["state"])


def pay(client: Clients, binding_id: str, order_no: str, answer: str = "", caller: str = "his-1") -> Any:  # noqa: F811
    body = {"order_no": order_no, "answer": answer}
    return client(caller).call("POST", f"/api/v1/agreements/{binding_id}/pay", body)


def typed(world, attempt_no: str) -> str:  # noqa: F811
    codes = world.control("/control/quickpay/codes")
    return str(next(each["secret"] for each in codes if each["payment_no"] == attempt_no))


def paid(client: Clients, world, binding_id: str, order_no: str) -> str:  # noqa: F811
    """Pay in two calls and return the order's state."""
    begun = pay(client, binding_id, order_no)
    pay(client, binding_id, order_no, typed(world, begun["attempt_no"]))
    return state(client, order_no)


def test_a_code_is_sent_and_typed(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    order_no = order(client, vuid)
    begun = pay(client, binding_id, order_no)
    assert begun["challenge"] == "138****8000"
    assert state(client, order_no) == "paying"
    assert pay(client, binding_id, order_no) == begun
    done = pay(client, binding_id, order_no, typed(world, begun["attempt_no"]))
    assert done["attempt_no"] == begun["attempt_no"]
    assert state(client, order_no) == "paid"
    assert code_of(lambda: pay(client, binding_id, order_no)) == "PAY-1003"


def test_a_wrong_code_fails_the_attempt_and_another_pays(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    order_no = order(client, vuid)
    first = pay(client, binding_id, order_no)
    wrong = f"{(int(typed(world, first['attempt_no'])) + 1) % 10**6:06d}"
    assert code_of(lambda: pay(client, binding_id, order_no, wrong)) == "PAY-3001"
    second = pay(client, binding_id, order_no)
    assert second["attempt_no"] != first["attempt_no"]
    pay(client, binding_id, order_no, typed(world, second["attempt_no"]))
    assert state(client, order_no) == "paid"
    taken = [each for each in world.control("/control/quickpay/payments") if each["state"] == "settled"]
    assert len([each for each in taken if each["payment_no"].startswith(order_no)]) == 1


def test_a_lost_answer_is_asked_about(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    order_no = order(client, vuid)
    begun = pay(client, binding_id, order_no)
    answer = typed(world, begun["attempt_no"])
    world.control("/control/quickpay/faults", {"lost_answers": 1, "drop_notices": -1, "path": ""})
    assert code_of(lambda: pay(client, binding_id, order_no, answer)) == "KIT-5003"
    assert state(client, order_no) == "paying"
    client("his-1").call("POST", f"/api/v1/orders/{order_no}/refresh")
    assert state(client, order_no) == "paid"


def test_limits_of_a_payment_and_of_a_day(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    assert code_of(lambda: pay(client, binding_id, order(client, vuid, 500_001))) == "PAY-4004"
    for _ in range(4):
        assert paid(client, world, binding_id, order(client, vuid, 500_000)) == "paid"
    assert code_of(lambda: pay(client, binding_id, order(client, vuid, 1))) == "PAY-4004"


def test_only_the_payer_proven_and_a_card_in_force(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    stranger = str(client("his-1").register_account(vars(make_resident()), real_name="police_online")["vuid"])
    assert code_of(lambda: pay(client, binding_id, order(client, stranger))) == "PAY-4006"
    assert code_of(lambda: pay(client, binding_id, order(client, None))) == "PAY-4006"
    order_no = order(client, vuid)
    assert code_of(lambda: pay(client, f"bkc_{'0' * 32}", order_no)) == "PAY-4001"
    assert code_of(lambda: pay(client, binding_id, order_no, caller="his-2")) == "PAY-4001"
    client("his-1").change_account_state(vuid, "frozen")
    assert code_of(lambda: pay(client, binding_id, order_no)) == "PAY-4003"
    client("his-1").change_account_state(vuid, "active")
    assert paid(client, world, binding_id, order_no) == "paid"


def test_another_card_does_not_answer_for_the_first(client, world, holder) -> None:  # noqa: F811
    vuid, binding_id = holder
    other = bound(client, world, vuid)
    order_no = order(client, vuid)
    begun = pay(client, binding_id, order_no)
    answer = typed(world, begun["attempt_no"])
    assert code_of(lambda: pay(client, other, order_no, answer)) == "PAY-1012"
    pay(client, binding_id, order_no, answer)
    assert state(client, order_no) == "paid"


def two_in_one(client: Clients, vuid: str, **more: object) -> str:  # noqa: F811
    return str(client("his-1").call("POST", "/api/v1/codes/two-in-one", {"vuid": vuid} | more)["text"])


def scan(client: Clients, order_no: str, text: str, caller: str = "his-1") -> Any:  # noqa: F811
    return client(caller).call("POST", f"/api/v1/orders/{order_no}/scan", {"text": text})


def test_two_in_one_the_whole_way(client, world, holder) -> None:  # noqa: F811
    vuid, _binding = holder
    text = two_in_one(client, vuid)
    assert text.split(":")[3].startswith("P.")
    order_no = order(client, vuid)
    done = scan(client, order_no, text)
    assert (done["by"], done["channel"], done["state"]) == ("two_in_one", "quickpay", "paid")
    token = text.split(":P.")[1]
    given = next(each for each in world.control("/control/quickpay/tokens") if each["token"] == token)
    assert (given["checked"], given["paid"]) == (True, f"{HOSPITAL}/{done['attempt_no']}")
    second = order(client, vuid)
    assert code_of(lambda: scan(client, second, text)) == "CRD-2004"
    assert state(client, second) == "created"


def test_the_other_hospital_takes_it_too(client, holder) -> None:  # noqa: F811
    vuid, _binding = holder
    order_no = order(client, None, caller="his-2")
    assert scan(client, order_no, two_in_one(client, vuid), caller="his-2")["state"] == "paid"


def test_a_token_in_another_code_is_not_genuine(client, holder) -> None:  # noqa: F811
    vuid, _binding = holder
    first, second = two_in_one(client, vuid), two_in_one(client, vuid)
    order_no = order(client, vuid)
    head, token = first.rsplit(":", 1)
    swapped = f"{second.rsplit(':', 1)[0]}:{token}"
    assert code_of(lambda: scan(client, order_no, swapped)).startswith("CRD-2")
    forged = f"{head}:{token[:-1]}{'A' if token[-1] != 'A' else 'B'}"
    assert code_of(lambda: scan(client, order_no, forged)).startswith("CRD-2")
    assert state(client, order_no) == "created"
    assert scan(client, order_no, first)["state"] == "paid"


def test_the_bank_refuses_a_token_of_another_nonce(client, database_url, holder) -> None:  # noqa: F811
    """The platform's own memory of the nonce is changed behind its back: the bank, asked again, says no."""
    vuid, _binding = holder
    text = two_in_one(client, vuid)
    with psycopg.connect(database_url) as connection:
        changed = connection.execute("UPDATE payments_token SET nonce = '0000000000' WHERE vuid = %s", (vuid,))
        assert changed.rowcount == 1
    order_no = order(client, vuid)
    assert code_of(lambda: scan(client, order_no, text)) == "PAY-4103"
    assert state(client, order_no) == "created"


def test_a_code_needs_a_bound_card_and_a_bank_that_answers(client, world, holder) -> None:  # noqa: F811
    bare = str(client("his-1").register_account(vars(make_resident()), real_name="police_online")["vuid"])
    assert code_of(lambda: two_in_one(client, bare)) == "PAY-4104"
    vuid, binding_id = holder
    world.control("/control/quickpay/faults", {"unsigned_answers": 1})
    assert code_of(lambda: two_in_one(client, vuid, binding_id=binding_id)) == "KIT-5003"
    assert two_in_one(client, vuid, binding_id=binding_id)
