"""Code tables of the national standards that the platform's interfaces use. Values are text, as transmitted.

Sex GB/T 2261.1-2003, marital status GB/T 2261.2-2003, nationalities of China GB/T 3304-1991 (names and
Roman spelling), family relations GB/T 4761-2008 (those that a card office meets), certificate types WS 364.3-2011
CV02.01.101 as the electronic health card interfaces extend it, steps of a visit as those interfaces number them.
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
RESIDENCE_CARD: Final = "09"
"""Ours: WS 364.3-2011 has no number for it and would file it under 99."""
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
    ("09", "外国人永久居留身份证", "foreign permanent resident identity card"),
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

_RELATIONS = """
01 本人 self|02 户主 householder|10 配偶 spouse|11 夫 husband|12 妻 wife|20 子 son|21 独生子 only_son|22 长子 first_son
23 次子 second_son|24 三子 third_son|25 四子 fourth_son|26 五子 fifth_son|27 养子或继子 adopted_son_or_stepson
28 女婿 son-in-law|29 其他儿子 other_son|30 女 daughter|31 独生女 only_daughter|32 长女 first_daughter
33 次女 second_daughter|34 三女 third_daughter|35 四女 fourth_daughter|36 五女 fifth_daughter
37 养女或继女 adopted_daughter_or_stepdaughter|38 儿媳 daughter-in-law|39 其他女儿 other_daughter
40 孙子、孙女或外孙子、外孙女 grandchild|41 孙子 son's_son|42 孙女 son's_daughter|43 外孙子 daughter's_son
44 外孙女 daughter's_daughter|50 父母 parent|51 父亲 father|52 母亲 mother|53 公公 husband's_father
54 婆婆 husband's_mother|55 岳父 wife's_father|56 岳母 wife's_mother|57 继父或养父 stepfather_or_adoptive_father
58 继母或养母 stepmother_or_adoptive_mother|59 其他父母关系 other_parent|60 祖父母或外祖父母 grandparent
61 祖父 father's_father|62 祖母 father's_mother|63 外祖父 mother's_father|64 外祖母 mother's_mother
70 兄、弟、姐、妹 sibling|71 兄 elder_brother|73 弟 younger_brother|75 姐姐 elder_sister|77 妹妹 younger_sister
79 其他兄弟姐妹 other_sibling|80 其他 other|97 其他亲属 other_relative|99 非亲属 not_related
"""

FAMILY: Final = MappingProxyType(
    {
        code: Term(zh, en.replace("_", " "))
        for code, zh, en in (row.split() for line in _RELATIONS.split("\n") for row in line.split("|") if row)
    }
)
"""GB/T 4761-2008, two digits: what a family member is to the person that the record is about."""

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
        "family": FAMILY,
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
