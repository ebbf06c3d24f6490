from __future__ import annotations

import base64
import secrets

import pytest
from signed_calls import ask

from yimatong.crypto.gm import sm2
from yimatong.kit.settings import TEST_SITE_SECRET, Settings
from yimatong.sandbox import insurer, signed
from yimatong.standards.bank_cards import check_digit

ID = "11010519491231002X"


def card(prefix="622202"):
    number = prefix + f"{secrets.randbelow(10**12):012d}"
    return number + check_digit(number)


def application(number, **change):
    return {
        "request_no": f"req-{secrets.token_hex(8)}",
        "name": "张三",
        "id_type": "01",
        "id_number": ID,
        "card_number": number,
        "phone": "13800138000",
    } | change


@pytest.fixture(autouse=True)
def _well_behaved(world):
    yield
    for party in ("police", "bank", "insurer"):
        world.control(f"/control/parties/{party}/behaviour", {})


def test_the_settings_know_the_test_site():
    defaults = {name: getattr(Settings, name, None) for name in ("bank_secret", "insurer_public_key")}
    assert set(defaults) == {"bank_secret", "insurer_public_key"}
    made = Settings(data=".", database_url="", keystore=".", web_session_key="")
    assert made.bank_secret == made.insurer_secret == made.real_name_secret == signed.SECRET_HEX == TEST_SITE_SECRET
    assert made.insurer_public_key == insurer.PUBLIC_KEY_HEX == sm2.public_key(insurer.PRIVATE_KEY).hex()


@pytest.mark.parametrize(
    "wrong",
    [{"app_id": "other"}, {"secret": "00" * 32}, {"timestamp": "1"}, {"nonce": ""}, {"X-Sign": "zz"}, {"X-Sign": "00"}],
)
def test_who_does_not_sign_is_not_heard(world, wrong):
    asked = application(card())
    assert ask(f"{world.url}/bank/agreements/apply", asked, **wrong).status_code == 401
    assert asked["request_no"] not in {each["request_no"] for each in world.control("/control/bank/messages")}


def test_a_nonce_counts_once(world):
    asked = application(card())
    url = f"{world.url}/bank/agreements/apply"
    assert ask(url, asked, nonce="n" * 20).status_code == 200
    assert ask(url, asked, nonce="n" * 20).status_code == 401


def secret_of(world, request_no):
    return next(each for each in world.control("/control/bank/messages") if each["request_no"] == request_no)["secret"]


def test_sms_agreement_from_beginning_to_end(world):
    url, asked = f"{world.url}/bank/agreements", application(card())
    first = ask(f"{url}/apply", asked).json()
    assert (first["state"], first["challenge"], first["sent_to"], first["tries_left"]) == (
        *("waiting", "sms", "138****8000"),
        3,
    )
    assert ask(f"{url}/apply", asked).json() == first
    code = secret_of(world, asked["request_no"])
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    assert ask(f"{url}/confirm", {"request_no": asked["request_no"], "code": wrong}).json()["tries_left"] == 2
    done = ask(f"{url}/confirm", {"request_no": asked["request_no"], "code": code}).json()
    assert done["state"] == "agreed"
    assert done["agreement_no"].startswith("QP")
    assert ask(f"{url}/query", {"request_no": asked["request_no"]}).json() == done
    assert ask(f"{url}/end", {"request_no": asked["request_no"]}).json()["state"] == "ended"
    assert ask(f"{url}/query", {"request_no": "never-heard"}).json()["state"] == "absent"


def test_small_amount_three_tries_and_expiry(world):
    number = card()
    holder = {"number": number, "name": "张三", "id_number": ID, "phone": "13800138000", "challenge": "small_amount"}
    world.control("/control/bank/cards", holder)
    url, asked = f"{world.url}/bank/agreements", application(number)
    assert ask(f"{url}/apply", asked).json()["challenge"] == "small_amount"
    assert 1 <= int(secret_of(world, asked["request_no"])) <= 99
    for left in (2, 1, 0):
        answer = ask(f"{url}/confirm", {"request_no": asked["request_no"], "amount_fen": 100}).json()
        assert answer["tries_left"] == left
    assert answer["state"] == "failed"
    again = application(number)
    ask(f"{url}/apply", again)
    assert world.control("/control/bank/expire", {"request_no": again["request_no"]})["state"] == "expired"


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        ({"name": "李四"}, "open", "holder"),
        ({"phone": "13900139000"}, "open", "holder"),
        ({"id_number": "x"}, "open", "holder"),
        ({}, "lost", "card"),
    ],
)
def test_whose_card_it_is(world, change, state, reason):
    number = card()
    world.control(
        "/control/bank/cards",
        {"number": number, "name": "张三", "id_number": ID, "phone": "13800138000", "state": state},
    )
    answer = ask(f"{world.url}/bank/agreements/apply", application(number, **change)).json()
    assert (answer["state"], answer["reason"]) == ("refused", reason)
    question = {key: value for key, value in application(number, **change).items() if key != "request_no"}
    match = ask(f"{world.url}/bank/check", question).json()["match"]
    assert match is (not change)


def encrypted(request_no, password):
    public = bytes.fromhex(insurer.PUBLIC_KEY_HEX)
    return base64.b64encode(sm2.encrypt(public, f"{request_no}\n{password}".encode())).decode()


def link(world, number, password, **change):
    asked = application(number, kind="social_card") | change
    del asked["phone"]
    asked["password"] = encrypted(change.get("request_no", asked["request_no"]), password)
    return ask(f"{world.url}/insurer/links/apply", asked)


def test_insurer_checks_the_password_and_locks(world):
    number = "61A" + secrets.token_hex(3).upper()
    world.control(
        "/control/insurer/cards",
        {"number": number, "name": "张三", "id_number": ID, "password": "135790", "place": "610300"},
    )
    for left in (4, 3, 2, 1):
        answer = link(world, number, "000000").json()
        assert (answer["reason"], answer["tries_left"]) == ("password", left)
    assert link(world, number, "000000").json()["reason"] == "locked"
    assert link(world, number, "135790").json()["reason"] == "locked"
    world.control("/control/insurer/cards", {"number": number, "name": "张三", "id_number": ID, "password": "135790"})
    done = link(world, number, "135790").json()
    assert (done["state"], done["insurance"], done["place"]) == ("linked", "resident", "610100")
    assert ask(f"{world.url}/insurer/links/end", {"request_no": done["request_no"]}).json()["state"] == "ended"
    assert link(world, number, "135790", name="李四").json()["reason"] == "holder"
    assert link(world, number, "135790", kind="cooperative_card").json()["reason"] == "card"


def test_a_password_serves_its_own_request_only(world):
    asked = application("61B123456", kind="social_card", password=encrypted("another-request", "123456"))
    del asked["phone"]
    assert ask(f"{world.url}/insurer/links/apply", asked).status_code == 400
    asked["password"] = "plain"
    assert ask(f"{world.url}/insurer/links/apply", asked).status_code == 400


def test_parties_misbehave_on_demand(world):
    url, asked = f"{world.url}/bank/agreements/apply", application(card())
    world.control("/control/parties/bank/behaviour", {"busy": 1, "lost_answers": 1})
    assert (ask(url, asked).status_code, ask(url, asked).status_code, ask(url, asked).status_code) == (429, 500, 200)
    world.control("/control/parties/bank/behaviour", {"state": "down"})
    assert ask(url, asked).status_code == 503
    question = {"name": "老忙", "id_type": "01", "id_number": ID}
    busy = ask(f"{world.url}/realname/check", question)
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "30")
