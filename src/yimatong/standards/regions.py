"""Administrative divisions of GB/T 2260: provinces, prefectures, counties; and the cities of Shaanxi (610000).

Prefectures and counties come from ``divisions.csv`` beside this module (after the package china-division of
github.com/modood/Administrative-divisions-of-China, which follows the statistics bureau's yearly list), read when first
asked for.

81, 82 and 83 are also the prefixes of the residence permits of Hong Kong, Macao and Taiwan residents
(State Council order of 2018), whose numbers follow GB 11643; 83 exists only there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

PROVINCES: Final = MappingProxyType(
    {
        "11": "北京市",
        "12": "天津市",
        "13": "河北省",
        "14": "山西省",
        "15": "内蒙古自治区",
        "21": "辽宁省",
        "22": "吉林省",
        "23": "黑龙江省",
        "31": "上海市",
        "32": "江苏省",
        "33": "浙江省",
        "34": "安徽省",
        "35": "福建省",
        "36": "江西省",
        "37": "山东省",
        "41": "河南省",
        "42": "湖北省",
        "43": "湖南省",
        "44": "广东省",
        "45": "广西壮族自治区",
        "46": "海南省",
        "50": "重庆市",
        "51": "四川省",
        "52": "贵州省",
        "53": "云南省",
        "54": "西藏自治区",
        "61": "陕西省",
        "62": "甘肃省",
        "63": "青海省",
        "64": "宁夏回族自治区",
        "65": "新疆维吾尔自治区",
        "71": "台湾省",
        "81": "香港特别行政区",
        "82": "澳门特别行政区",
        "83": "台湾居民居住证",
    }
)

SHAANXI_CITIES: Final = MappingProxyType(
    {
        "6101": "西安市",
        "6102": "铜川市",
        "6103": "宝鸡市",
        "6104": "咸阳市",
        "6105": "渭南市",
        "6106": "延安市",
        "6107": "汉中市",
        "6108": "榆林市",
        "6109": "安康市",
        "6110": "商洛市",
        "6111": "杨凌示范区",
    }
)


def region_name(code: str) -> str:
    """Return the Chinese name for a division code of two to six digits, as precise as the tables go.

    ``610102`` gives ``陕西省西安市``, ``110101`` gives ``北京市``; an unknown province gives an empty text.
    """
    province = PROVINCES.get(code[:2], "")
    return province + SHAANXI_CITIES.get(code[:4], "") if province else ""


@cache
def divisions() -> Mapping[str, str]:
    """Return the name of every division by code: two digits a province, four a prefecture, six a county.

    Prefectures that are only a heading (``市辖区`` of a municipality, ``省直辖县级行政区划``) are left out, their
    counties are in.
    """
    text = resources.files("yimatong.standards").joinpath("divisions.csv").read_text("utf-8")
    rows = (line.partition(",")[::2] for line in text.splitlines()[1:])
    return MappingProxyType(dict(PROVINCES) | dict(rows) | dict(SHAANXI_CITIES))
