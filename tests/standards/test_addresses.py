import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards import addresses


@pytest.mark.parametrize(
    "written",
    [
        "陕西省西安市雁塔区解放路61号祥和小区26号楼2单元1604室",
        "陕西西安雁塔解放路61号祥和小区26号楼2单元1604室",
        "西安市雁塔区解放路61号祥和小区26-2-1604",
        "西安雁塔区解放路61号祥和小区26#-2-1604",
        "陕西省西安市雁塔区 解放路61号，祥和小区26栋2单元1604",
        "陕西省西安市雁塔区解放路六十一号祥和小区二十六号楼二单元1604室",
        "陕西省西安市雁塔区解放路61号祥和小区26号楼2单元16层1604室",
    ],
)
def test_one_home_however_it_is_written(written):
    found = addresses.standardise(written)
    assert (found.region, found.road, found.estate, found.door) == ("610113", "解放路", "祥和小区", "26-2-1604")


@pytest.mark.parametrize(
    ("written", "region", "town", "road", "numbers"),
    [
        ("陕西省榆林市横山区城关镇王家村3组45号", "610803", "城关", "王家村", ("3", "45")),
        ("陕西安康镇坪县环城路285号", "610927", "", "环城路", ("285",)),
        ("西安碑林和平路12号", "610103", "", "和平路", ("12",)),
        ("和平路12号", "", "", "和平路", ("12",)),
        ("朝阳区建国路88号", "", "", "建国路", ("88",)),  # a dozen cities have a 朝阳区
        ("北京市朝阳区建国路88号", "110105", "", "建国路", ("88",)),
        ("西安市长安区韦曲街道办事处青年南街12号", "610116", "韦曲", "青年南街", ("12",)),
        ("陕西省", "61", "", "", ()),
        ("", "", "", "", ()),
    ],
)
def test_parts(written, region, town, road, numbers):
    found = addresses.standardise(written)
    assert (found.region, found.town, found.road, found.numbers) == (region, town, road, numbers)


def test_one_number_is_no_door():
    assert addresses.standardise("解放路61号").door == ""


@given(st.text(st.sampled_from("陕西省安市雁塔区和平路解放0123456789号楼-单元室十二三#（）镇村 "), max_size=40))
def test_nothing_is_refused(text):
    found = addresses.standardise(text)
    assert all(number.isdigit() or number[:-1].isdigit() for number in found.numbers)
