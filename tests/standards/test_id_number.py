import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards import id_number
from yimatong.standards.errors import (
    IdNumberBirthDate,
    IdNumberCheckDigit,
    IdNumberInvalid,
    IdNumberRegion,
    IdNumberShape,
)
from yimatong.standards.regions import PROVINCES

TODAY = date(2026, 1, 1)
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "id_numbers.json").read_text("utf-8"))


def _number(region="610102", born="19900307", serial="123"):
    return region + born + serial + id_number.check_digit(region + born + serial)


@pytest.mark.parametrize("vector", VECTORS["id_numbers"])
def test_published_numbers(vector):
    parsed = id_number.parse(vector["number"], today=date(2000, 1, 1))
    assert parsed.number18 == vector["number"]
    assert parsed.region_code == vector["region"]
    assert parsed.birth_date.isoformat() == vector["born"]
    assert parsed.sex == vector["sex"]


@pytest.mark.parametrize(
    "written",
    ["11010519491231002x", " 11010519491231002X\n", "１１０１０５１９４９１２３１００２Ｘ", "110105491231002"],
)
def test_every_way_of_writing_gives_one_number(written):
    assert id_number.parse(written, today=TODAY).number18 == "11010519491231002X"


@pytest.mark.parametrize(
    "text",
    ["", "1", "1" * 14, "1" * 16, "1" * 17, "1" * 19, "X" * 18, "1101051949123100X2", "11010519491231002٣", "٣" * 15],
)
def test_wrong_shape_is_refused(text):
    with pytest.raises(IdNumberShape):
        id_number.parse(text, today=TODAY)


def test_every_single_slip_is_refused():
    good = "11010519491231002X"
    for place in range(17):
        for digit in "0123456789":
            if digit != good[place]:
                with pytest.raises(IdNumberCheckDigit):
                    id_number.parse(good[:place] + digit + good[place + 1 :], today=TODAY)


def test_every_swap_of_neighbours_is_refused():
    good = _number(serial="157")
    for place in range(16):
        swapped = good[:place] + good[place + 1] + good[place] + good[place + 2 :]
        if swapped != good:
            with pytest.raises(IdNumberInvalid):
                id_number.parse(swapped, today=TODAY)


@pytest.mark.parametrize("born", ["19900230", "19901301", "19900100", "00000000", "18751231", "20260102"])
def test_impossible_birth_dates_are_refused(born):
    with pytest.raises(IdNumberBirthDate):
        id_number.parse(_number(born=born), today=TODAY)


def test_born_today_is_possible_and_tomorrow_is_not():
    number = _number(born="20260101")
    assert id_number.parse(number, today=TODAY).birth_date == TODAY
    with pytest.raises(IdNumberBirthDate):
        id_number.parse(number, today=TODAY - timedelta(days=1))


def test_unknown_province_is_refused():
    with pytest.raises(IdNumberRegion) as caught:
        id_number.parse(_number(region="990102"), today=TODAY)
    assert "99" in caught.value.text("zh")


def test_refusals_do_not_repeat_the_number():
    for wrong in ("110105194912310021", _number(born="19900230"), _number(region="990102")):
        with pytest.raises(IdNumberInvalid) as caught:
            id_number.parse(wrong, today=TODAY)
        assert wrong[6:14] not in caught.value.text("zh") + caught.value.text("en") + repr(caught.value.facts)


def test_there_is_no_short_form_outside_the_century():
    with pytest.raises(IdNumberBirthDate):
        id_number.to_15(_number(born="20000101"))
    with pytest.raises(IdNumberShape):
        id_number.to_15("1")
    with pytest.raises(IdNumberShape):
        id_number.to_18("1" * 18)
    with pytest.raises(IdNumberShape):
        id_number.check_digit("1" * 18)


@given(st.sampled_from(sorted(PROVINCES)), st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 999))
def test_both_generations_lead_to_each_other(province, born, serial):
    number = _number(province + "0101", f"{born:%Y%m%d}", f"{serial:03}")
    assert id_number.to_18(id_number.to_15(number)) == number
    parsed = id_number.parse(number, today=TODAY)
    assert (parsed.birth_date, parsed.sex) == (born, "1" if serial % 2 else "2")
