"""Money, masks, errors, ids, settings, the clock: the small tools that everything stands on."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from yimatong.kit import clock, ids, log, masking, money, settings
from yimatong.kit.errors import NotFound, PlatformError, Refusal

FEN = st.integers(-money.AMOUNT_FEN_MAX, money.AMOUNT_FEN_MAX)
TEXTS = st.text(min_size=1, max_size=60)


@given(FEN)
def test_money_there_and_back(amount_fen: int) -> None:
    assert money.parse_yuan(money.plain_yuan(amount_fen)) == amount_fen
    assert money.yuan(amount_fen).replace(",", "") == money.plain_yuan(amount_fen)


@pytest.mark.parametrize(("text", "fen"), [("0", 0), ("12.3", 1230), (" 0.01 ", 1), ("-1.50", -150), ("007", 700)])
def test_yuan_is_read(text: str, fen: int) -> None:
    assert money.parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text", ["", "1.234", "1,000", "1e3", ".5", "5.", "١", "１", "NaN", "inf", "1 2", "--1", "9" * 13, "10000000000.01"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(money.AmountInvalid):
        money.parse_yuan(text)


@given(TEXTS)
def test_masks_hide_the_middle_and_never_show_by_accident(text: str) -> None:
    for kind in (masking.PersonName, masking.IdNumber, masking.Phone, masking.BankCard, masking.Secret):
        value = kind(text)
        assert value == text
        assert f"{value}" == value.masked
        assert repr(value) == f"<{kind.__name__} {value.masked}>"
        assert masking.masked({"k": [value, (value,)]}) == {"k": [value.masked, [value.masked]]}
    if len(text) > 8:
        for kind in (masking.PersonName, masking.IdNumber, masking.Phone):
            assert kind(text).masked != text or "*" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (masking.PersonName("张三"), "张*"),
        (masking.PersonName("张三丰"), "张*丰"),
        (masking.PersonName("阿卜杜拉·买买提"), "阿******提"),
        (masking.IdNumber("61010219490101001X"), "610102**********1X"),
        (masking.IdNumber("E12345678"), "E*******8"),
        (masking.Phone("13800138000"), "138****8000"),
        (masking.Phone("12345"), "*****"),
        (masking.Address("陕西省西安市新城区示范路 1 号"), "陕西省西安市****"),
        (masking.BankCard("6222021234567890"), "**** 7890"),
        (masking.Secret("hunter2"), "***"),
    ],
)
def test_masks(value: masking.Personal, shown: str) -> None:
    assert value.masked == shown


def test_a_log_line_masks_by_type(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    log.set_up(process="tests", level=logging.INFO)
    try:
        log.KitLog.STARTED.emit(name=masking.PersonName("张三丰"), nested=[masking.Secret("hunter2")])
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    line = json.loads(capsys.readouterr().err)
    assert (line["code"], line["name"], line["nested"]) == ("KIT-L001", "张*丰", ["***"])


def test_an_error_tells_its_facts_in_two_languages_and_never_fails_at_it() -> None:
    class Planted(Refusal):
        zh = "没有 {thing}"
        en = "no {thing}, {missing}"

    error = Planted(thing="x", audit="secret")
    assert (error.text("zh-CN"), error.text("en"), str(error)) == ("没有 x", "no x, {missing}", "no x, {missing}")
    assert "secret" not in repr(error)
    assert issubclass(NotFound, PlatformError)


def test_ids_are_unique_and_grow() -> None:
    made = [ids.new_id("rec") for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert all(found.startswith("rec_") and found[4:].isalnum() for found in made)
    heads = [found[4:14] for found in made]
    assert heads == sorted(heads)
    assert len(ids.new_number("P", "20261123")) == 21


@given(st.integers(946_684_800, 4_102_444_800).map(lambda second: datetime.fromtimestamp(second, UTC)))
def test_a_business_day_holds_its_moments(moment: datetime) -> None:
    start, end = clock.day_bounds(clock.business_date(moment))
    assert start <= moment < end
    assert end - start == timedelta(days=1)
    assert datetime.fromisoformat(clock.rfc3339(moment)) == moment.replace(microsecond=0)


def test_midnight_in_beijing() -> None:
    assert clock.business_date(datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC)) == date(2026, 11, 22)
    assert clock.business_date(datetime(2026, 11, 22, 16, 0, tzinfo=UTC)) == date(2026, 11, 23)


GOOD = """
data = "/d"
database_url = "postgresql://x"
keystore = "/k"
keystore_passphrase = "p"
web_session_key = "00"
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml [",
        GOOD + "surprise = 1",
        GOOD + 'mode = "rehearsal"',
        GOOD + 'database_pool = "ten"',
        GOOD + "[addresses]\nsurprise = 1",
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(settings.SettingsInvalid):
        settings.load(tmp_path / "s.toml")


def test_settings_are_read_once_and_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.toml").write_text(GOOD)
    monkeypatch.setenv("YMT_SETTINGS", str(tmp_path / "s.toml"))
    found = settings.load()
    assert (found.data, found.production) == (Path("/d"), False)
    with pytest.raises(AttributeError):
        found.mode = "production"  # type: ignore[misc]
    monkeypatch.delenv("YMT_SETTINGS")
    with pytest.raises(settings.SettingsInvalid):
        settings.load()
