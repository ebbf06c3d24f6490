"""Code tables of the national standards that the platform's interfaces use. Values are text, as transmitted.

Sex GB/T 2261.1-2003, marital status GB/T 2261.2-2003, nationalities of China GB/T 3304-1991 (names and
Roman spelling), certificate types WS 364.3-2011 CV02.01.101 as the electronic health card interfaces extend it,
steps of a visit as those interfaces number them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from yimatong.standards.errors import CodeUnknown


class Term(NamedTuple):
    """What one code means."""

    zh: str
    en: str


def _table(*rows: tuple[str, str, str]) -> Mapping[str, Term]:
    return MappingProxyType({code: Term(zh, en) for code, zh, en in rows})


MALE: Final = "1"
FEMALE: Final = "2"
ID_CARD: Final = "01"
NO_CERTIFICATE: Final = "98"

SEX: Final = _table(
    ("0", "未知的性别", "unknown"),
    ("1", "男", "male"),
    ("2", "女", "female"),
    ("9", "未说明的性别", "not stated"),
)

MARITAL: Final = _table(
    ("10", "未婚", "never married"),
    ("20", "已婚", "married"),
    ("21", "初婚", "first marriage"),
    ("22", "再婚", "remarried"),
    ("23", "复婚", "remarried to the same person"),
    ("30", "丧偶", "widowed"),
    ("40", "离婚", "divorced"),
    ("90", "未说明的婚姻状况", "not stated"),
)

CERTIFICATE_TYPES: Final = _table(
    ("01", "居民身份证", "resident identity card"),
    ("02", "居民户口簿", "household register"),
    ("03", "护照", "passport"),
    ("04", "军官证", "officer card"),
    ("05", "驾驶证", "driving licence"),
    ("06", "港澳居民来往内地通行证", "mainland travel permit for Hong Kong and Macao residents"),
    ("07", "台湾居民来往内地通行证", "mainland travel permit for Taiwan residents"),
    ("08", "出生医学证明", "medical certificate of birth"),
    ("98", "无证件（平台域索引）", "no certificate (domain index of the platform)"),
    ("99", "其他法定有效证件", "other valid legal certificate"),
)

MED_STEPS: Final = _table(
    ("010101", "挂号", "registration"),
    ("010102", "诊断", "diagnosis"),
    ("010103", "取药", "dispensing"),
    ("010104", "检查", "examination"),
    ("010105", "收费", "payment"),
    ("010106", "开方", "prescription"),
    ("010107", "手术", "operation"),
    ("000000", "其他", "other"),
)

_NATIONS = """
01 汉族 Han|02 蒙古族 Mongol|03 回族 Hui|04 藏族 Zang|05 维吾尔族 Uygur|06 苗族 Miao|07 彝族 Yi|08 壮族 Zhuang
09 布依族 Buyei|10 朝鲜族 Chosen|11 满族 Man|12 侗族 Dong|13 瑶族 Yao|14 白族 Bai|15 土家族 Tujia|16 哈尼族 Hani
17 哈萨克族 Kazak|18 傣族 Dai|19 黎族 Li|20 傈僳族 Lisu|21 佤族 Va|22 畲族 She|23 高山族 Gaoshan|24 拉祜族 Lahu
25 水族 Sui|26 东乡族 Dongxiang|27 纳西族 Naxi|28 景颇族 Jingpo|29 柯尔克孜族 Kirgiz|30 土族 Tu|31 达斡尔族 Daur
32 仫佬族 Mulao|33 羌族 Qiang|34 布朗族 Blang|35 撒拉族 Salar|36 毛南族 Maonan|37 仡佬族 Gelao|38 锡伯族 Xibe
39 阿昌族 Achang|40 普米族 Pumi|41 塔吉克族 Tajik|42 怒族 Nu|43 乌孜别克族 Uzbek|44 俄罗斯族 Russ|45 鄂温克族 Ewenki
46 德昂族 Deang|47 保安族 Bonan|48 裕固族 Yugur|49 京族 Gin|50 塔塔尔族 Tatar|51 独龙族 Derung|52 鄂伦春族 Oroqen
53 赫哲族 Hezhen|54 门巴族 Monba|55 珞巴族 Lhoba|56 基诺族 Jino
"""

NATIONS: Final = MappingProxyType(
    {
        code: Term(zh, en)
        for code, zh, en in (row.split() for line in _NATIONS.split("\n") for row in line.split("|") if row)
    }
)

TABLES: Final[Mapping[str, Mapping[str, Term]]] = MappingProxyType(
    {
        "sex": SEX,
        "marital": MARITAL,
        "nation": NATIONS,
        "certificate_type": CERTIFICATE_TYPES,
        "med_step": MED_STEPS,
    }
)


def require(table: str, value: str) -> Term:
    """Return the meaning of ``value`` in ``table`` (a key of ``TABLES``).

    Raises:
        CodeUnknown: the table has no such code.
    """
    term = TABLES[table].get(value)
    if term is None:
        raise CodeUnknown(table=table, value=value)
    return term
