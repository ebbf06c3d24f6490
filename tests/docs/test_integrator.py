"""docs/integrator.md: its programs make its signature, its requests are accepted, its tables name what is answered."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from yimatong.apps.assembly import assemble
from yimatong.gateways.hl7v2 import reading as hl7_reading
from yimatong.gateways.hl7v2.messages import Received
from yimatong.gateways.soap import reading as v3_reading
from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong_sdk import ApiError

sys.path.insert(0, str(Path(__file__).parents[1]))
from core_world import HOSPITAL, client, core_url, merchant, secrets_of, world  # noqa: F401
from core_world import settings as plain_settings  # noqa: F401

PAGE = "docs/integrator.md"


@pytest.fixture(scope="module")
def settings(plain_settings, world):  # noqa: F811
    return msgspec.structs.replace(plain_settings, insurance_base_url=f"{world.url}/insurance")


@pytest.fixture(scope="module")
def insurance(settings, world, merchant, run_async):  # noqa: F811
    """Hospital 1 has medical insurance beside WeChat Pay."""
    keys, private_key = institution_keys(fixmedins_code="H61010000077")
    shown = world.control("/control/insurance/institutions", msgspec.to_builtins(keys))
    kept = {
        "private_key": private_key,
        "app_secret": keys.app_secret,
        "platform_public_key": shown["platform_public_key"],
    }

    async def enter():
        parts = assemble(settings)
        account = ChannelAccount(
            account_id=f"insurance-{HOSPITAL}",
            institution_id=HOSPITAL,
            channel="insurance",
            merchant_id=keys.fixmedins_code,
            app_id=keys.app_id,
            secrets={name: Secret(value) for name, value in kept.items()},
            profile={"fixmedins_code": keys.fixmedins_code},
        )
        async with parts.db.transaction() as connection:
            await accounts.put_account(connection, parts.vault, account, now=clock.now())
        await parts.close()

    run_async(enter())


@pytest.fixture(scope="module")
def vector(blocks):
    rows = blocks(PAGE, "vector")[0].splitlines()
    return dict(re.split(r" {2,}", row, maxsplit=1) for row in rows)


@pytest.mark.skipif("sm3" not in hashlib.algorithms_available, reason="this Python's OpenSSL has no SM3")
def test_the_python_program_makes_the_signature(blocks, vector):
    (program,) = blocks(PAGE, "python")
    names = {}
    exec(compile(program, PAGE, "exec"), names)
    made = names["sign"](
        vector["secret"],
        vector["method"],
        vector["target"],
        vector["timestamp"],
        vector["nonce"],
        vector["bound"],
        vector["body"].encode(),
    )
    assert made == vector["signature"]


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sh")), reason="no openssl command here")
def test_the_shell_program_makes_the_signature(blocks, vector):
    (program,) = blocks(PAGE, "sh")
    parts = [vector[name] for name in ("secret", "method", "target", "timestamp", "nonce", "bound", "body")]
    done = subprocess.run(
        ["sh", "-c", f'{program}\nsign "$@"', "sh", *parts], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == vector["signature"]


def steps(text):
    """Yield each request of the page with the fields that its table of answers names."""
    for section in re.split(r"\n###? ", text)[1:]:
        found = re.search(r"^```json POST (\S+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        if found:
            table = section.split("| field of the answer |")[1].split("\n\n")[0]
            rows = re.findall(r"^\| (`.+?`) \| ", table, re.MULTILINE)
            yield found[1], found[2], {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_request_is_accepted_and_answers_what_its_table_says(text_of, client, insurance, world):  # noqa: F811
    his, known, seen = client("his-1"), {"institution": HOSPITAL}, []
    known["payment_code"] = world.control("/control/wechat/payment-codes", {"ends": "pays"})["auth_code"]
    for target, body, named in steps(text_of(PAGE)):
        for name, value in known.items():
            target = target.replace(f"{{{name}}}", str(value))  # noqa: PLW2901
            body = body.replace(f"{{{name}}}", str(value))  # noqa: PLW2901
        answer = his.call("POST", target, json.loads(body))
        assert set(answer) == named, target
        seen.append(target)
        known |= {name: answer[name] for name in ("vuid", "text", "order_no") if answer.get(name)}
        if target.endswith("/legs"):
            assert 0 < answer["cash_fen"] < answer["amount_fen"]
        if target.endswith("/attempts"):
            assert answer["qr_text"].startswith("weixin://")
            assert his.take_back(known["order_no"])["state"] == "created"
        if target.endswith("/scan"):
            assert (answer["by"], answer["state"]) == ("payment_code", "paid")
        if target.endswith("/verify"):
            known["record_id"] = answer["record_id"]
            with pytest.raises(ApiError) as again:
                his.call("POST", target, json.loads(body))
            assert (again.value.http_status, again.value.code) == (409, "CRD-2004")
    assert len(seen) == 16


def test_the_lines_with_the_sdk_do_what_the_requests_do(blocks, client):  # noqa: F811
    (program,) = blocks(PAGE, "python sdk")
    number = {"domain": f"visit-card:{HOSPITAL}:01", "number": "V0012345"}
    names = {"client": client("his-1"), "institution": HOSPITAL}
    before = names["client"].register_person(
        {"domain": f"source:{HOSPITAL}", "number": "0012345678"}, {"name": "周小燕"}, identifiers=[number]
    )
    exec(compile(program, PAGE, "exec"), names)
    hers = before["mpi_ref"]
    assert (names["made"]["outcome"], names["made"]["mpi_ref"], names["same"]["mpi_ref"]) == ("updated", hers, hers)
    assert {"domain": f"source:{HOSPITAL}", "number": "0012345678"}.items() <= names["same"]["identifiers"][0].items()
    assert [each["mpi_ref"] for each in names["found"]["persons"]] == [hers]
    assert [each["person"]["mpi_ref"] for each in names["likely"]["candidates"]] == [hers]
    assert (names["told"]["scope"], names["told"]["mpi_ref"], names["told"]["state"]) == ("person", hers, "active")
    assert names["client"].read_person(hers)["person"]["name"] == "周小燕"


def test_the_lines_about_payments_do_what_they_say(blocks, client, insurance):  # noqa: F811
    (program,) = blocks(PAGE, "python payments")
    names = {"client": client("his-1")}
    exec(compile(program, PAGE, "exec"), names)
    assert {"wechat", "insurance"} <= {each["channel"] for each in names["offers"]}
    assert names["begun"]["qr_text"].startswith("weixin://")
    assert (names["stands"]["state"], names["ended"]["state"]) == ("paying", "closed")


def test_its_messages_are_read(blocks):
    (v2,), (v3,) = blocks(PAGE, "hl7"), blocks(PAGE, "xml")
    fed = hl7_reading.patient(Received(v2.replace("\n", "\r").encode()).one("PID"))
    assert [each.number for each in fed.identifiers] == ["0012345679", "V0012346"]
    told = v3_reading.patient(v3_reading.parsed(v3))
    assert told.numbers[0].extension == "0012345680"
    assert fed.stated.name == told.stated.name == "周小燕"
    assert fed.stated.birth_date == told.stated.birth_date


def test_what_it_says_of_errors_is_the_catalogue(text_of):
    catalogue = dict(re.findall(r"^\| `([A-Z]+-\d+)` \| (\d+) ", text_of("docs/spec/errors.md"), re.MULTILINE))
    told = re.findall(r"^\| (\d{3}) `([A-Z]+-\d+)`", text_of(PAGE), re.MULTILINE)
    assert len(told) > 6
    assert [(catalogue[code], code) for _, code in told] == told
