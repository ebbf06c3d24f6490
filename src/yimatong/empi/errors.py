"""Error catalogue of the person index (EMP-)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class PersonDisagrees(Refusal):
    """The certificate belongs to a person of another name or sex. Nobody's data are told, nothing is attached."""

    code = "EMP-1001"
    status = 409
    zh = "证件已登记，姓名或性别与登记信息不一致，不能办理；请本人持证件到窗口核实"
    en = "the certificate is registered with another name or sex; the holder must have it checked at a window"


class BirthDateDisagrees(Refusal):
    """The birth date given is not the one inside the resident identity number (GB 11643-1999)."""

    code = "EMP-1002"
    status = 422
    zh = "出生日期与身份证号码不一致"
    en = "the birth date is not the one in the identity number"


class SexDisagrees(Refusal):
    """The sex given is not the one inside the resident identity number (GB 11643-1999)."""

    code = "EMP-1003"
    status = 422
    zh = "性别与身份证号码不一致"
    en = "the sex is not the one in the identity number"


class BirthDateImpossible(Refusal):
    """Born in the future or more than 130 years ago."""

    code = "EMP-1004"
    status = 422
    zh = "出生日期不可能：{birth_date}"
    en = "impossible birth date: {birth_date}"


class PersonNotFound(Refusal):
    """No such person, or none that the caller may see."""

    code = "EMP-1005"
    status = 404
    zh = "没有找到该居民"
    en = "no such person"


class CertificateTypeUnknown(Refusal):
    """Not a certificate type of WS 364.3 CV02.01.101."""

    code = "EMP-1006"
    status = 422
    zh = "证件类型不支持：{id_type}"
    en = "unsupported certificate type: {id_type}"


class CertificateNumberInvalid(Refusal):
    """Not a number that a certificate of its type can have."""

    code = "EMP-1007"
    status = 422
    zh = "证件号码格式不正确"
    en = "the certificate number is malformed"
