"""The fuzzer of ``ymt bench payments-fuzz``: it finds planted faults, and a short run of every channel finds none."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench"
sys.path.insert(0, str(BENCH))

from _fuzz import Fuzzer, NothingGenuine, Target  # noqa: E402
from payments_fuzz import channels, main  # noqa: E402

from yimatong.payments.errors import NoticeNotGenuine  # noqa: E402

GENUINE = b'{"mark": "signed", "amount": 1234, "who": "a"}'


@pytest.fixture(autouse=True)
def _calm():
    """No simulated world is needed here."""


def target(act, **more) -> Target:
    facts = {"name": "planted", "shape": "json", "samples": [({"sign": "x"}, GENUINE)], "accounts": ["a", "b"]}
    return Target(**(facts | {"act": act} | more))


def strict(account, headers, body):
    if headers.get("sign") != "x" or body != GENUINE or account != "a":
        raise NoticeNotGenuine
    return json.loads(body)


def test_a_reader_that_refuses_everything_else_passes():
    tally = Fuzzer(target(strict), seed=1).run(2000)
    assert (tally.crashes, tally.forgeries) == (0, 0)
    assert tally.accepted >= 2000 // 50
    assert set(tally.refusals) == {"PAY-3003"}


def test_an_unnamed_exception_is_a_crash():
    def careless(account, headers, body):
        if account == "b":
            raise NoticeNotGenuine
        return json.loads(body)["amount"] and strict(account, headers, body)

    tally = Fuzzer(target(careless), seed=1).run(2000)
    assert tally.crashes > 0
    assert "JSONDecodeError" in "".join(tally.found) or "KeyError" in "".join(tally.found)


def _unsigned_amount(account, headers, body):
    told = json.loads(body) if body.startswith(b"{") and body.endswith(b"}") else {}
    if told.get("mark") != "signed" or headers.get("sign") != "x" or account != "a":
        raise NoticeNotGenuine
    return told


def _any_account(_account, headers, body):
    return strict("a", headers, body)


def _any_header(account, _headers, body):
    return [strict(account, {"sign": "x"}, body), _headers.get("sign")]


@pytest.mark.parametrize("reader", [_unsigned_amount, _any_account, _any_header])
def test_what_the_signature_does_not_cover_is_a_forgery(reader):
    def act(account, headers, body):
        try:
            return reader(account, headers, body)
        except (ValueError, AttributeError, RecursionError) as error:
            raise NoticeNotGenuine from error

    tally = Fuzzer(target(act), seed=1).run(3000)
    assert tally.forgeries > 0
    assert "taken" in tally.found[0]


def test_a_stray_that_is_taken_is_a_forgery():
    def act(account, headers, body):
        if account != "a" or body not in (GENUINE, b"stray"):
            raise NoticeNotGenuine
        return body

    assert Fuzzer(target(act, strays=[({}, b"stray")]), seed=1).run(1000).forgeries > 0


def test_a_target_whose_samples_are_refused_proves_nothing():
    with pytest.raises(NothingGenuine):
        Fuzzer(target(strict, samples=[({}, GENUINE)]), seed=1)


def test_the_same_seed_does_the_same():
    first, second, other = (Fuzzer(target(strict), seed=seed).run(500) for seed in (1, 1, 2))
    assert first.refusals == second.refusals
    assert first.accepted == second.accepted
    assert (first.accepted, first.refusals) != (other.accepted, other.refusals)


@pytest.mark.parametrize("channel", channels())
def test_a_short_run_of_every_channel(channel, capsys):
    ways = importlib.import_module(f"_fuzz_{channel}").targets()
    assert any(way.signed for way in ways)
    assert main(["--channel", channel, "--executions", "600"]) == 0
    assert f"figure: payments-fuzz channel={channel}" in capsys.readouterr().out
