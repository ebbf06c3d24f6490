"""Errors of identifier domains, cross indexes and the card index (EMP-2)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class DomainUnknown(Refusal):
    """No identifier domain has this code."""

    code = "EMP-2001"
    status = 404
    zh = "没有这个标识域：{domain}"
    en = "no such identifier domain: {domain}"


class DomainSuspended(Refusal):
    """The domain was suspended: nothing is entered, and nothing is resolved from or into it."""

    code = "EMP-2002"
    status = 409
    zh = "标识域已停用：{domain}"
    en = "the identifier domain is suspended: {domain}"


class NumberInvalid(Refusal):
    """The number does not have the format of its domain."""

    code = "EMP-2003"
    status = 422
    zh = "号码不符合标识域 {domain} 的格式"
    en = "the number does not have the format of the domain {domain}"


class NumberCheckDigit(Refusal):
    """The check character of the number is wrong: a digit was mistyped."""

    code = "EMP-2004"
    status = 422
    zh = "号码校验位不符，请核对是否录错（标识域 {domain}）"
    en = "the check character of the number does not fit; please check for a typing slip (domain {domain})"


class NumberTaken(Refusal):
    """The number stands for another person. Whose is not told, and nothing is taken from her."""

    code = "EMP-2005"
    status = 409
    zh = "该号码已对应其他居民，未作变更；请核对号码，如原登记有误请先终止原交叉索引"
    en = "the number stands for another person and was left with her; check it, or end the wrong cross index first"


class PersonHasAnother(Refusal):
    """The domain gives each person one number, and this person has another one."""

    code = "EMP-2006"
    status = 409
    zh = "该居民在标识域 {domain} 中已有其他有效号码；每人只能有一个"
    en = "the person has another number of the domain {domain}, which gives each person one"


class NumberUnknown(Refusal):
    """No person is known by this number."""

    code = "EMP-2007"
    status = 404
    zh = "没有找到该号码对应的居民"
    en = "no person is known by this number"


class DomainNotYours(Refusal):
    """The domain belongs to another institution that has not opened it to this caller."""

    code = "EMP-2008"
    status = 403
    zh = "标识域 {domain} 属于其他机构，未对本调用方开放"
    en = "the domain {domain} belongs to another institution and is not open to this caller"


class DomainExists(Refusal):
    """A domain with this code, or this object identifier, is there already."""

    code = "EMP-2009"
    status = 409
    zh = "标识域代码或 OID 已被使用：{given}"
    en = "the code or the object identifier of a domain is taken: {given}"


class DomainChanged(Refusal):
    """Somebody changed the domain since it was read."""

    code = "EMP-2010"
    status = 409
    zh = "标识域已被他人修改（当前版本 {version}），请刷新后重试"
    en = "the domain was changed meanwhile (version {version} now); read it again"


class DomainRuleInvalid(Refusal):
    """A rule that no number could be judged by: a format outside the permitted form, an unknown check rule or kind."""

    code = "EMP-2011"
    status = 422
    zh = "标识域规则不正确：{detail}"
    en = "the rule of the domain is wrong: {detail}"


class CertificateNotEnded(Refusal):
    """Certificates identify a person for ever; a new one replaces them, they are not ended as a cross index."""

    code = "EMP-2012"
    status = 409
    zh = "证件不能作为交叉索引终止；请办理证件变更"
    en = "a certificate is not ended as a cross index; have it replaced by the new certificate"


class NumberUsedUp(Refusal):
    """The number stood for another person before, and its domain never gives a number out again."""

    code = "EMP-2013"
    status = 409
    zh = "该号码曾对应其他居民，标识域 {domain} 的号码不重复使用"
    en = "the number stood for another person before, and the domain {domain} never gives a number out again"


class MediumNotInForce(Refusal):
    """The card is reported lost or frozen: its number identifies nobody until it is found or released."""

    code = "EMP-2014"
    status = 409
    zh = "该卡已挂失或冻结，不能用于识别身份"
    en = "the card was reported lost or is frozen; it identifies nobody for now"
