import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.standards import pinyin


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("张伟", ("zhang", "wei")),
        ("Zhang Wei", ("zhang", "wei")),
        ("zhangwei", ("zhang", "wei")),
        ("ZHANG WEI", ("zhang", "wei")),
        ("吕丽", ("lv", "li")),
        ("Lü Li", ("lv", "li")),
        ("Xi'an", ("xi", "an")),  # GB/T 16159-2012, 6.4: the apostrophe parts syllables
        ("xian", ("xian",)),
        ("单田芳", ("shan", "tian", "fang")),
        ("曾国藩", ("zeng", "guo", "fan")),
        ("查良镛", ("zha", "liang", "yong")),
        ("阿依古丽·买买提", ("a", "yi", "gu", "li", "mai", "mai", "ti")),
        ("Smith", ("smith",)),
        ("", ()),
    ],
)
def test_syllables(name, said):
    assert pinyin.syllables(name) == said


def test_who_sounds_alike_has_one_sound_of_the_same_length():
    assert pinyin.sound("张伟") == pinyin.sound("章玮") == pinyin.sound("Zhang Wei")
    assert len(pinyin.sound("张伟")) == 2
    assert pinyin.sound("张伟") != pinyin.sound("张维维")
    assert pinyin.sound("张颖") != pinyin.sound("张银"), "ying and yin are two sounds"
    assert pinyin.sound("John Smith") == "johnsmith"


def test_a_surname_is_read_as_a_surname_in_first_place_only():
    assert pinyin.sound("单")[0] == pinyin.sound("善")[0]
    assert pinyin.sound("王单")[1] == pinyin.sound("丹丹")[1]


def test_every_reading_of_a_character_the_usual_one_first():
    assert pinyin.every_reading("单")[0] == "dan"
    assert "shan" in pinyin.every_reading("单")
    assert "ou" in pinyin.every_reading("区")
    assert pinyin.every_reading("〇")[0] == "ling"
    assert pinyin.every_reading("a") == pinyin.every_reading("，") == ()


def test_what_is_pinyin():
    assert pinyin.is_pinyin("Zhang Wei")
    assert not pinyin.is_pinyin("John Smith")
    assert not pinyin.is_pinyin("张伟")
    assert not pinyin.is_pinyin("")


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=6))
def test_a_sound_is_its_own_sound_and_as_long_as_the_name(name):
    found = pinyin.sound(name)
    assert len(found) == len(name)
    assert pinyin.sound("王" + found)[1:] == found


@given(st.text(max_size=30))
def test_nothing_is_refused(text):
    pinyin.sound(text)
    pinyin.syllables(text)
    pinyin.is_pinyin(text)
