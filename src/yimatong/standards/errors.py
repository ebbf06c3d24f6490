"""What the national standards refuse: one class each, codes ``STD-1xxx``.

::

    Refusal
    ├── IdNumberInvalid        GB 11643-1999
    │   ├── IdNumberShape          STD-1001
    │   ├── IdNumberCheckDigit     STD-1002
    │   ├── IdNumberBirthDate      STD-1003
    │   └── IdNumberRegion         STD-1004
    ├── ResidenceNumberInvalid 外国人永久居留身份证
    │   ├── ResidenceNumberShape       STD-1011
    │   ├── ResidenceNumberCheckDigit  STD-1012
    │   └── ResidenceNumberBirthDate   STD-1013
    ├── NameInvalid            names of persons
    │   ├── NameLength             STD-1101
    │   ├── NameHasDigit           STD-1102
    │   ├── NameHasEmoji           STD-1103
    │   ├── NameHasControl         STD-1104
    │   └── NameHasOther           STD-1105
    ├── PhoneInvalid               STD-1201
    ├── CodeUnknown                STD-1301
    └── OrganisationCodeInvalid    STD-1401

No fact ever repeats the number, the name or the phone itself.
"""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class IdNumberInvalid(Refusal):
    """Root of everything that can be wrong with a citizen identification number. Never raised itself."""

    status = 422


class IdNumberShape(IdNumberInvalid):
    """Not 18 (or, of the first generation, 15) characters of the permitted kind."""

    code = "STD-1001"
    zh = "身份证号码应为18位（前17位数字，末位数字或X）或15位数字"
    en = "an identity number has 18 characters (17 digits and a digit or X) or 15 digits"


class IdNumberCheckDigit(IdNumberInvalid):
    """The last character does not fit the first seventeen (ISO 7064 MOD 11-2)."""

    code = "STD-1002"
    zh = "身份证号码校验位不符，请核对是否录错"
    en = "the check digit of the identity number does not fit; please check for a typing slip"


class IdNumberBirthDate(IdNumberInvalid):
    """The birth date does not exist, lies in the future or more than 150 years back."""

    code = "STD-1003"
    zh = "身份证号码中的出生日期不可能存在"
    en = "the birth date in the identity number is impossible"


class IdNumberRegion(IdNumberInvalid):
    """The first two digits name no province."""

    code = "STD-1004"
    zh = "身份证号码前两位 {prefix} 不是任何省级行政区"
    en = "the first two digits {prefix} of the identity number name no province"


class ResidenceNumberInvalid(Refusal):
    """Root of everything that can be wrong with the number of a permanent residence card. Never raised itself."""

    status = 422


class ResidenceNumberShape(ResidenceNumberInvalid):
    """Neither 18 characters beginning with 9 nor three letters and twelve digits."""

    code = "STD-1011"
    zh = "永久居留身份证号码应为9开头的18位，或3位字母加12位数字"
    en = "a permanent residence card number has 18 characters beginning with 9, or three letters and twelve digits"


class ResidenceNumberCheckDigit(ResidenceNumberInvalid):
    """The last character does not fit the first seventeen (ISO 7064 MOD 11-2)."""

    code = "STD-1012"
    zh = "永久居留身份证号码校验位不符，请核对是否录错"
    en = "the check digit of the permanent residence card does not fit; please check for a typing slip"


class ResidenceNumberBirthDate(ResidenceNumberInvalid):
    """The birth date in the number does not exist or lies in the future."""

    code = "STD-1013"
    zh = "永久居留身份证号码中的出生日期不可能存在"
    en = "the birth date in the permanent residence card number is impossible"


class NameInvalid(Refusal):
    """Root of everything that can be wrong with a person's name. Never raised itself."""

    status = 422


class NameLength(NameInvalid):
    """Empty after trimming, or too long."""

    code = "STD-1101"
    zh = "姓名应为1至{limit}个字符"
    en = "a name has 1 to {limit} characters"


class NameHasDigit(NameInvalid):
    """A digit of any script."""

    code = "STD-1102"
    zh = "姓名第{position}个字符是数字"
    en = "character {position} of the name is a digit"


class NameHasEmoji(NameInvalid):
    """A pictograph."""

    code = "STD-1103"
    zh = "姓名第{position}个字符是表情或图形符号"
    en = "character {position} of the name is an emoji or a pictograph"


class NameHasControl(NameInvalid):
    """A control or invisible character (categories Cc, Cf, Zl, Zp)."""

    code = "STD-1104"
    zh = "姓名第{position}个字符是控制字符或不可见字符"
    en = "character {position} of the name is a control or invisible character"


class NameHasOther(NameInvalid):
    """A character that no name is written with, or a separator in a place where it separates nothing."""

    code = "STD-1105"
    zh = "姓名第{position}个字符（{codepoint}）不能用于姓名"
    en = "character {position} ({codepoint}) of the name cannot be part of a name"


class PhoneInvalid(Refusal):
    """Not a telephone number."""

    code = "STD-1201"
    status = 422
    zh = "电话号码应为5至15位数字，可带国家代码"
    en = "a telephone number has 5 to 15 digits, with or without a country code"


class CodeUnknown(Refusal):
    """A code that its table does not hold."""

    code = "STD-1301"
    status = 422
    zh = "代码表“{table}”中没有 {value}"
    en = "the code table {table} has no {value}"


class OrganisationCodeInvalid(Refusal):
    """An organisation code (GB 11714) or unified social credit code (GB 32100) whose shape or check is wrong."""

    code = "STD-1401"
    status = 422
    zh = "组织机构代码或统一社会信用代码不正确：{reason_zh}"
    en = "the organisation code or unified social credit code is wrong: {reason_en}"


class BankCardShape(Refusal):
    """Not the number of a bank card."""

    code = "STD-1501"
    status = 422
    zh = "银行卡号应为12至19位数字"
    en = "a bank card number has 12 to 19 digits"


class BankCardChecksum(Refusal):
    """The check digit of a bank card number (Luhn) is wrong: a digit was mistyped."""

    code = "STD-1502"
    status = 422
    zh = "银行卡号有误：校验位不正确，请核对号码"
    en = "the bank card number is mistyped: its check digit is wrong"


class BankCardIssuerUnknown(Refusal):
    """No bank of the BIN table issues cards that begin so and have this length."""

    code = "STD-1503"
    status = 422
    zh = "不支持该银行卡：无法识别发卡银行"
    en = "this bank card is not supported: its issuer is not known"


class InsuranceCardShape(Refusal):
    """Not the number of a social-insurance card or of a medical-insurance booklet."""

    code = "STD-1504"
    status = 422
    zh = "社保卡号或合疗证号应为8至20位数字或字母"
    en = "the number of an insurance card has 8 to 20 digits and letters"
