"""Errors of queries, statistics and subscriptions (EMP-3)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class NothingSelective(Refusal):
    """A query needs one fact that few persons share; sex, region or a single wild card are not enough."""

    code = "EMP-3001"
    status = 422
    zh = "查询条件太宽：请至少给出证件号码、标识、电话、姓名、母亲姓名、住址，或不超过 31 天的出生日期范围之一"
    en = (
        "the query is too wide: give at least an identifier, a phone, a name, the mother's name, an address,"
        " or a range of birth dates of 31 days at most"
    )


class TooManyCandidates(Refusal):
    """More persons may fit than are looked at one by one; nobody is shown rather than an arbitrary part."""

    code = "EMP-3002"
    status = 422
    zh = "符合条件的居民可能超过 {limit} 人，请增加查询条件"
    en = "more than {limit} persons may fit; add a fact"


class CursorInvalid(Refusal):
    """The cursor was not given for this query to this caller, or it was changed."""

    code = "EMP-3003"
    status = 422
    zh = "翻页标记与本次查询不符"
    en = "the cursor does not belong to this query"


class RangeBackwards(Refusal):
    """The end of a range lies before its beginning."""

    code = "EMP-3004"
    status = 422
    zh = "出生日期范围的终点早于起点"
    en = "the range of birth dates ends before it begins"


class StatisticsTooNarrow(Refusal):
    """Such a count could be about single persons; the message names the rule that it breaks."""

    code = "EMP-3101"
    status = 422
    zh = "统计条件可能指向个人：{rule_zh}"
    en = "the count might be about single persons: {rule_en}"


class SubscriptionNotFound(Refusal):
    """No such subscription, or none of this caller's."""

    code = "EMP-3201"
    status = 404
    zh = "没有找到该订阅"
    en = "no such subscription"


class SubscriptionNotAllowed(Refusal):
    """A caller subscribes to persons of whom it has a record, to its own domains, or to all by a grant."""

    code = "EMP-3202"
    status = 403
    zh = "只能订阅本机构有登记记录的居民或本机构的标识域；订阅全部居民须由平台授权"
    en = "subscribe to persons that you have a record of, or to your own domains; to all only by a grant"


class SubscriptionOver(Refusal):
    """The subscription was ended; make a new one."""

    code = "EMP-3203"
    status = 409
    zh = "该订阅已结束，请重新订阅"
    en = "the subscription was ended; make a new one"


class SubscriptionIncomplete(Refusal):
    """A person's subscription needs the person, a domain's the domain, and neither the other."""

    code = "EMP-3204"
    status = 422
    zh = "订阅范围与给出的居民或标识域不符"
    en = "the scope of the subscription and the person or domain given do not fit"
