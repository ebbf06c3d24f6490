"""Errors of merges, reviews and cancelling (EMP-4)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class MergeConflict(Refusal):
    """The cluster check forbids the merge: two valid certificates of one type, a rejected pair, a cancelled person."""

    code = "EMP-4001"
    status = 409
    zh = "不能合并：{conflicts}；请由主索引管理员核实"
    en = "the two cannot be merged ({conflicts}); a data steward must judge"


class MergeNotFound(Refusal):
    """No such merge, or it was undone before."""

    code = "EMP-4002"
    status = 404
    zh = "没有找到该合并，或已经拆分"
    en = "no such merge, or it was undone before"


class SamePerson(Refusal):
    """Both ids mean one person already; there is nothing to reject or to judge."""

    code = "EMP-4003"
    status = 409
    zh = "两条记录已是同一居民"
    en = "both records mean the same person already"


class SourceRecordUnknown(Refusal):
    """No provider has a record of this number in this domain, or it is not the caller's."""

    code = "EMP-4004"
    status = 404
    zh = "没有找到该来源记录"
    en = "no such source record"


class ReviewNotFound(Refusal):
    """No such review."""

    code = "EMP-4101"
    status = 404
    zh = "没有找到该待核实事项"
    en = "no such review"


class ReviewNotWaiting(Refusal):
    """The review was decided or became void meanwhile; read it again."""

    code = "EMP-4102"
    status = 409
    zh = "该事项已处理或已失效，请刷新"
    en = "the review was decided or became void meanwhile"


class ReviewNotUndoable(Refusal):
    """Only a decided review is undone, and only while its decision stands."""

    code = "EMP-4103"
    status = 409
    zh = "该事项不能撤销：{why}"
    en = "the review cannot be undone: {why}"


class ReviewTakenByAnother(Refusal):
    """Somebody else is at work on it; it can be taken over on purpose."""

    code = "EMP-4104"
    status = 409
    zh = "该事项正由他人处理"
    en = "somebody else is at work on this review"


class DoubleCheckNotOpen(Refusal):
    """Nothing was drawn for this review, it was checked already, or the first judge asks."""

    code = "EMP-4105"
    status = 409
    zh = "该事项没有待复核，或您是首次处理人"
    en = "no double check waits for this review, or you judged it first"


class SourceNotAskable(Refusal):
    """The institution named has no record of either side, so it has nothing to answer."""

    code = "EMP-4106"
    status = 422
    zh = "该机构没有这两位居民的记录，无法询问"
    en = "the institution has no record of either person"


class PersonCancelled(Refusal):
    """The person was cancelled in the index; a data steward restores a wrong cancellation."""

    code = "EMP-4201"
    status = 409
    zh = "该居民已在主索引中注销，不能办理；如有误，请联系主索引管理员恢复"
    en = "the person was cancelled in the index; a data steward restores a wrong cancellation"


class CancelNotAllowed(Refusal):
    """The caller has no record of this person, so she is not its to cancel."""

    code = "EMP-4202"
    status = 403
    zh = "本机构没有该居民的记录，不能注销"
    en = "the caller has no record of this person and cannot cancel her"


class NotCancelled(Refusal):
    """The person, or the record, is not cancelled: nothing to restore."""

    code = "EMP-4203"
    status = 409
    zh = "该居民没有被注销"
    en = "the person is not cancelled"


class CancelReasonIncomplete(Refusal):
    """A death has a day on which she died, not before birth and not in the future; other reasons have none."""

    code = "EMP-4204"
    status = 422
    zh = "注销原因不完整：因死亡注销须填写死亡日期，其他原因不填"
    en = "a death names the day she died, another reason names none"
