from yimatong.standards import regions


def test_counties_have_names():
    """Codes of GB/T 2260-2007."""
    found = regions.divisions()
    assert found["610103"] == "碑林区"
    assert found["6101"] == "西安市"
    assert found["61"] == "陕西省"
    assert found["110105"] == "朝阳区"
    assert found["659001"] == "石河子市"
    assert "1101" not in found, "市辖区 is a heading, no division"


def test_every_county_stands_below_a_province():
    found = regions.divisions()
    assert all(code[:2] in found for code in found)
    assert sum(len(code) == 6 for code in found) > 2900
