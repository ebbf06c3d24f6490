from __future__ import annotations

import pytest

from yimatong.standards import bank_cards, insurance_cards
from yimatong.standards.errors import BankCardChecksum, BankCardIssuerUnknown, BankCardShape, InsuranceCardShape


def test_luhn_of_the_standards_own_example():
    """ISO/IEC 7812-1 annex B computes 7992739871 with check digit 3."""
    assert bank_cards.check_digit("7992739871") == "3"


@pytest.mark.parametrize("written", ["6222021700000000012", "622202 1700000000012", "６２２２０２-1700000000012"])
def test_a_number_as_people_write_it(written):
    assert bank_cards.normalise(written) == "6222021700000000012"


def test_every_changed_digit_is_noticed():
    number = "6222021700000000012"
    for place, digit in enumerate(number):
        wrong = number[:place] + str((int(digit) + 1) % 10) + number[place + 1 :]
        with pytest.raises(BankCardChecksum):
            bank_cards.normalise(wrong)


@pytest.mark.parametrize("number", ["", "12345678901", "12345678901234567890", "622202170000000001X", "٦" * 19])
def test_other_shapes(number):
    with pytest.raises((BankCardShape, BankCardChecksum)):
        bank_cards.normalise(number)


@pytest.mark.parametrize(
    ("number", "bank", "kind"),
    [
        ("6222021700000000012", "ICBC", "debit"),
        ("6225060000000000000", "SXRCCU", "debit"),
        ("622136000000000000", "XABANK", "debit"),
        ("6225880000000000", "CMB", "debit"),
        ("6225750000000000", "CMB", "credit"),
        ("9559900000000000000", "ABC", "debit"),
    ],
)
def test_issuers(number, bank, kind):
    assert bank_cards.issuer(number) == (bank, kind)
    assert bank_cards.issuer(number).zh


@pytest.mark.parametrize("number", ["622202170000000001", "4111111111111111"])
def test_unknown_issuers(number):
    with pytest.raises(BankCardIssuerUnknown):
        bank_cards.issuer(number)


def test_insurance_cards():
    assert insurance_cards.normalise(" 61a 123-456") == "61A123456"
    for wrong in ("61A1234", "61A12345678901234567890", "61A+23456"):
        with pytest.raises(InsuranceCardShape):
            insurance_cards.normalise(wrong)
