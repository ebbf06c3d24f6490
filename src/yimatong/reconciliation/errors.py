"""Error catalogue of the reconciliation room (REC-). 10xx are bills that cannot be trusted; nothing of them is used."""

from __future__ import annotations

from yimatong.kit.errors import PlatformError, Refusal


class BillNotText(Refusal):
    """The bill is not UTF-8: a bill in GBK, an archive, junk."""

    code = "REC-1001"
    status = 422
    zh = "账单不是 UTF-8 文本：第 {line} 行"
    en = "the bill is not UTF-8 text: line {line}"


class BillColumnMissing(Refusal):
    """The header lacks a column without which nothing can be compared, or it is no bill at all."""

    code = "REC-1002"
    status = 422
    zh = "账单第 {line} 行表头缺少列：{column}"
    en = "line {line} of the bill has no column {column}"


class BillLineBroken(Refusal):
    """A line has another number of cells than its header."""

    code = "REC-1003"
    status = 422
    zh = "账单第 {line} 行有 {found} 列，应为 {expected} 列"
    en = "line {line} of the bill has {found} cells where its header has {expected}"


class BillCellWrong(Refusal):
    """A cell does not have the form of its column."""

    code = "REC-1004"
    status = 422
    zh = "账单第 {line} 行“{column}”的值不合法"
    en = "line {line} of the bill: the value in {column} is not valid"


class BillTruncated(Refusal):
    """The bill ends before its summary."""

    code = "REC-1005"
    status = 422
    zh = "账单在第 {line} 行中断，缺少汇总"
    en = "the bill breaks off at line {line}, before its summary"


class BillSummaryWrong(Refusal):
    """The channel's own summary does not equal its rows."""

    code = "REC-1006"
    status = 422
    zh = "账单汇总与明细不符（第 {line} 行“{column}”）：汇总 {stated}，明细合计 {added}"
    en = "the bill's summary does not equal its rows (line {line}, {column}): states {stated}, rows add up to {added}"


class BillOfAnother(Refusal):
    """A row belongs to another merchant than the account that was asked for."""

    code = "REC-1007"
    status = 422
    zh = "账单第 {line} 行“{column}”不是本商户号"
    en = "line {line} of the bill: {column} is not the merchant of this account"


class BillFormatUnknown(Refusal):
    """No parser for the bills of this channel."""

    code = "REC-1008"
    status = 422
    zh = "尚不支持渠道 {channel} 的账单"
    en = "bills of the channel {channel} cannot be read yet"


class AccountUnknown(Refusal):
    """No such merchant account."""

    code = "REC-2001"
    status = 404
    zh = "没有商户账户 {account_id}"
    en = "there is no merchant account {account_id}"


class DayInFuture(Refusal):
    """The business day has not come yet."""

    code = "REC-2002"
    status = 409
    zh = "{day} 还没有到，不能对账"
    en = "{day} has not come yet and cannot be reconciled"


class DiscrepancyNotFound(Refusal):
    """No such discrepancy, or somebody else's."""

    code = "REC-2003"
    status = 404
    zh = "没有这笔差错"
    en = "no such discrepancy"


class DateInvalid(Refusal):
    """Not a calendar day."""

    code = "REC-2004"
    zh = "日期不合法：{text}，应为 YYYY-MM-DD"
    en = "not a date: {text}; write YYYY-MM-DD"


class NotConserved(PlatformError):
    """The classes do not add up to what went in: a defect of ours. Nothing of the run was kept."""

    code = "REC-5001"
    status = 500
    zh = "对账结果不守恒（{side}）：输入 {given}，分类合计 {found}；未保存任何结果"
    en = "the classes do not add up ({side}): {given} went in, {found} came out; nothing was kept"
