"""Errors of persons and their registration (EMP-1)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


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
    """Born in the future or more than 130 years ago, or dead before birth or in the future."""

    code = "EMP-1004"
    status = 422
    zh = "出生日期或死亡日期不可能（晚于今天、早于出生或在 130 年以前）"
    en = "impossible date of birth or death (after today, before birth, or more than 130 years ago)"


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


class CertificateTaken(Refusal):
    """The new certificate is registered for another person. Whose is not told."""

    code = "EMP-1008"
    status = 409
    zh = "该证件已登记在其他人名下，不能变更；请核对证件号码，或到窗口核实"
    en = "the certificate is registered for another person; check the number, or have it checked at a window"


class CertificateNotHers(Refusal):
    """The certificate named as the old one is not this resident's."""

    code = "EMP-1009"
    status = 409
    zh = "原证件与该居民的登记不一致"
    en = "the old certificate is not this resident's"


class PersonDeceased(Refusal):
    """The resident was reported dead; a card office takes a wrong report back."""

    code = "EMP-1010"
    status = 409
    zh = "该居民已登记死亡，不能办理；如登记有误，请到卡管理部门更正"
    en = "the resident was reported dead; the card office corrects a wrong report"


class NotIdentifiable(Refusal):
    """What an institution says of somebody without a certificate is not enough to enter her."""

    code = "EMP-1011"
    status = 422
    zh = "无证件居民登记信息不完整：{missing}"
    en = "not enough is said of the resident without a certificate: {missing}"


class RegistrationOverlapped(Unavailable):
    """The person whose record it is was merged or changed in this very moment; nothing was stored."""

    code = "EMP-1012"
    zh = "主索引正在变更该居民的信息，未登记；请用同一幂等键重试"
    en = "the index was changing this person's record; nothing was stored, retry with the same idempotency key"


class ProofNotAttestable(Refusal):
    """An app says that a certificate was read or checked at a window; only institutions can attest that."""

    code = "EMP-1013"
    status = 422
    zh = "应用不能声明已读取或已核验证件：{method}"
    en = "an app cannot attest that a certificate was read or checked: {method}"
