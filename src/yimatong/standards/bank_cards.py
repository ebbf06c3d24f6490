"""Bank card numbers: shape and check digit (ISO/IEC 7812-1), and which bank issued a card, by its first digits (BIN).

The table holds the national banks and the banks of Shaanxi. Facts from the public list ``data/bin.csv`` of
https://github.com/hexindai/bcbc (MIT), which collects what Alipay and UnionPay answer; semi-credit cards (准贷记卡)
count as credit. A number whose first digits and length are not in it has an unknown issuer and cannot be bound.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from yimatong.standards.errors import BankCardChecksum, BankCardIssuerUnknown, BankCardShape

_SEPARATORS: Final = re.compile(r"[\s\-]+")
_NUMBER: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_BIN_MAX: Final = 10

BANKS: Final[dict[str, tuple[str, str]]] = {
    "ICBC": ("中国工商银行", "Industrial and Commercial Bank of China"),
    "ABC": ("中国农业银行", "Agricultural Bank of China"),
    "BOC": ("中国银行", "Bank of China"),
    "CCB": ("中国建设银行", "China Construction Bank"),
    "COMM": ("交通银行", "Bank of Communications"),
    "PSBC": ("中国邮政储蓄银行", "Postal Savings Bank of China"),
    "CMB": ("招商银行", "China Merchants Bank"),
    "CITIC": ("中信银行", "China CITIC Bank"),
    "CEB": ("中国光大银行", "China Everbright Bank"),
    "CMBC": ("中国民生银行", "China Minsheng Bank"),
    "SPDB": ("上海浦东发展银行", "Shanghai Pudong Development Bank"),
    "CIB": ("兴业银行", "Industrial Bank"),
    "SPABANK": ("平安银行", "Ping An Bank"),
    "HXBANK": ("华夏银行", "Hua Xia Bank"),
    "GDB": ("广发银行", "China Guangfa Bank"),
    "SXRCCU": ("陕西信合", "Shaanxi Rural Credit Cooperatives"),
    "XABANK": ("西安银行", "Bank of Xi'an"),
    "CABANK": ("长安银行", "Chang'an Bank"),
}
"""Bank code -> name in Chinese and English."""

_TABLE: Final = """
ICBC debit 19 621225 621226 621227 621229 621230 621240 621281 621288 621476 621558 621559 621670 621720 621721 621722
ICBC debit 19 621723 621724 622200 622202 622203 622208 623062 623163 95588
ICBC debit 18 621205 621206 621207 621208 621209 621210 621211 622020 623002 623100
ICBC credit 16 622158 622159 622210 622211 622212 622213 622214 622215 622230 622231 622232 622233 622234 622235 622236
ICBC credit 16 622237 622238 622239 622240 622245 622246 622597 622599 622910 625247 625249 625858 625859 625915 625916
ICBC credit 16 625917 628288
ABC debit 19 620501 621282 621336 621619 621671 622821 622822 622823 622824 622825 622826 622827 622828 622841 622843
ABC debit 19 622844 622845 622846 622847 622848 622849 623018 623052 623206 95595 95596 95597 95598 95599
ABC credit 16 622820 622830 622836 622837 622838 622839 625336 625826 625827 625996 625997 625998 628268 628269
BOC debit 19 621283 621330 621331 621332 621568 621569 621620 621660 621661 621662 621663 621666 621667 621668 621669
BOC debit 19 621672 621725 621756 621757 621758 621759 621785 621786 621787 621788 621789 621790 623184 623208 623569
BOC debit 19 623571 623572 623573 623575 623586
BOC credit 16 622750 622751 622752 622753 622754 622755 622756 622757 622758 622759 622760 622761 622762 622763 622764
BOC credit 16 622765 625337 625905 625906 625907 625908 625909 625910 628312
CCB debit 19 621081 621284 621467 621598 621621 621673 621700 622280 622700 623094 623211 623644 623668 623669
CCB debit 16 621080 621082 621083 621084 621466 621488 621499 622707 622966 622988 625955 625956
CCB credit 16 622166 622168 622675 622676 622677 622708 625362 625363 625964 625965 625966 628317 628366
COMM debit 19 621056801 621056802 621056803 621069 622260 622261 622262
COMM debit 17 622258 622259
COMM credit 16 622251 622252 622253 622254 622255 622256 622257 622284 622285 622656
PSBC debit 19 621095 621096 621098 621285 621599 621674 621797 621798 621799 622150 622151 622181 622182 622187 622188
PSBC debit 19 622189 623218 623698 623699 955100
PSBC credit 16 622810 622811 622812 625919 628310
CMB debit 16 621286 621483 621485 621486 622580 622588 622598 622609 623126 623136 95555
CMB credit 16 622575 622576 622577 622578 622579 622581 622582
CITIC debit 16 621767 621768 621769 621770 621771 621772 621773 622690 622691 622692 622696 622698 622998 622999 968807
CITIC debit 16 968808 968809
CITIC debit 19 620527
CITIC credit 16 622453 622678 622679 622680 622688 622689 622766 622767 622768 622916 622918 622919 628206 628208 628209
CITIC credit 16 628370 628371 628372
CEB debit 16 620085 620518 621489 621490 621491 621492 622660 622661 622662 622663 622664 622665 622666 622667 622668
CEB debit 16 622669 622670 622671 622672 622673 622674 623156 90030
CEB credit 16 622161 622162 622570 622650 622655 622657 622658 622659 622685 622687 625339 625975 625976 625977 625978
CEB credit 16 625979 625980 625981 628201 628202
CMBC debit 16 621691 622615 622616 622617 622618 622619 622620 622622 623683
CMBC credit 16 622600 622601 622602 622603 622621 622623 625911 625912 625913
SPDB debit 16 621351 621352 621390 621791 621792 621793 621795 621796 622516 622517 622518 622521 622522 622523 984301
SPDB debit 16 984303
SPDB debit 19 621275
SPDB credit 16 622176 622228 622276 622277 622519 622520 622693 625957 625958 625970 625971
CIB debit 18 622908 622909 966666
CIB credit 16 622571 622572 622573 622901 622902 625960 625961 625962 625963 628212
SPABANK debit 16 622298 622536 622538 622539 622983 622986 622989
SPABANK debit 19 621626 623058
SPABANK credit 16 621260 621261 621262 622155 622156 622157 622525 622526 627066 627067 627068 627069
HXBANK debit 16 621222 622630 622631 622632 622633 623020 623021 623022 623023
HXBANK credit 16 622637 622638 625967 625968 625969
GDB debit 19 621462 622568 9111
GDB credit 16 622555 622556 622557 622558 622559 622560 625071 625072 625073 625808 625809 625810
SXRCCU debit 19 622506 623027
XABANK debit 18 622136
CABANK debit 19 621448
"""


class Issuer(NamedTuple):
    """Who issued a card. ``kind``: debit or credit."""

    bank: str
    kind: str

    @property
    def zh(self) -> str:
        """Name of the bank in Chinese."""
        return BANKS[self.bank][0]

    @property
    def en(self) -> str:
        """Name of the bank in English."""
        return BANKS[self.bank][1]


def _issuers() -> dict[tuple[str, int], Issuer]:
    found = {}
    for line in _TABLE.split("\n"):
        if line:
            bank, kind, length, *prefixes = line.split()
            found.update({(prefix, int(length)): Issuer(bank, kind) for prefix in prefixes})
    return found


ISSUERS: Final = _issuers()
"""(first digits, length) -> issuer."""


def normalise(number: str) -> str:
    """Return the digits of a card number, without the blanks and hyphens between its groups.

    Raises:
        BankCardShape: not 12 to 19 digits (ISO/IEC 7812-1). BankCardChecksum: a digit is wrong.
    """
    digits = _SEPARATORS.sub("", unicodedata.normalize("NFKC", number))
    if not _NUMBER.fullmatch(digits):
        raise BankCardShape
    if digits[-1] != check_digit(digits[:-1]):
        raise BankCardChecksum
    return digits


def check_digit(digits: str) -> str:
    """Return the last digit that ``digits`` needs (Luhn, ISO/IEC 7812-1 annex B)."""
    doubled = [int(digit) * (2 - index % 2) for index, digit in enumerate(reversed(digits))]
    return str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)  # noqa: PLR2004 -- one digit at most


def issuer(digits: str) -> Issuer:
    """Return who issued the card of a normalised number; the longest first digits decide.

    Raises:
        BankCardIssuerUnknown: first digits and length are in no row of the table.
    """
    for size in range(_BIN_MAX, 3, -1):
        found = ISSUERS.get((digits[:size], len(digits)))
        if found is not None:
            return found
    raise BankCardIssuerUnknown
