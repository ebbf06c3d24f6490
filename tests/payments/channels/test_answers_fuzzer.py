"""The fuzz targets of answers that are signed for one question: an adapter that believes another one's is found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))

from _fuzz import Fuzzer

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.ncms import transformers as ncms
from yimatong.payments.channels.signed import signing

ANOTHER = "5d" * 16


@pytest.fixture(autouse=True)
def _calm():
    """No simulated world is needed here."""


def forgeries(channel: str, *, seed: int = 1) -> dict[str, int]:
    ways = importlib.import_module(f"_fuzz_{channel}").targets()
    return {way.name: Fuzzer(way, seed=seed).run(1500).forgeries for way in ways if way.signed}


@pytest.mark.parametrize("channel", ["ncms", "credit", "commercial", "quickpay"])
def test_an_answer_serves_one_question_only(channel):
    assert set(forgeries(channel).values()) == {0}


def test_an_agency_s_answer_to_another_question_is_found(monkeypatch):
    module = importlib.import_module("_fuzz_ncms")
    strict = module.believed

    def lax(account, answer, *, nonce, verb):
        try:
            return strict(account, answer, nonce=nonce, verb=verb)
        except PartyOutcomeUnknown:
            return strict(account, answer, nonce=ANOTHER, verb=verb)

    monkeypatch.setattr(module, "believed", lax)
    found = forgeries("ncms")
    assert set(found) == {"presettled-answer", "standing-answer", "refunded-answer"}
    assert min(found.values()) > 0


def test_a_guarantor_s_answer_or_old_notice_is_found(monkeypatch):
    strict = signing.verify_answer

    def lax(headers, body, *, status, nonce, secrets_hex):
        try:
            strict(headers, body, status=status, nonce=nonce, secrets_hex=secrets_hex)
        except signing.Unverified:
            strict(headers, body, status=status, nonce=ANOTHER, secrets_hex=secrets_hex)

    monkeypatch.setattr(signing, "verify_answer", lax)
    monkeypatch.setattr(signing, "WINDOW_S", 10**9)
    assert min(forgeries("credit").values()) > 0


@pytest.mark.parametrize("amount", ["-1", "1e3", "1000000000001", "true", '"5"', "9" * 40])
def test_an_amount_of_an_agency_is_a_possible_one(amount):
    body = f'{{"refund_no": "R", "state": "done", "fund_fen": {amount}, "account_fen": 0}}'
    with pytest.raises(ncms.Garbled):
        ncms.read(body.encode(), ncms.RefundStanding)


def test_an_answer_that_is_nested_without_end_is_garbled():
    with pytest.raises(ncms.Garbled):
        ncms.read(b'{"refund_no":' + b"[" * 200_000, ncms.RefundStanding)
