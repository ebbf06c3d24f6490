"""Errors of the exchange with the national person index (EMP-6)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class NationalNotConnected(Unavailable):
    """No address or secret of the national index is set: nothing is sent and nothing is asked."""

    code = "EMP-6001"
    zh = "未配置国家居民主索引平台的接入参数"
    en = "the national index is not connected: set its address and secret"


class NationalNotTaking(Unavailable):
    """The national index took nothing: it said that it is closed or busy (429, 503). What is due stays due."""

    code = "EMP-6002"
    zh = "国家居民主索引平台暂不受理，稍后自动重发"
    en = "the national index takes nothing at the moment; it is sent again by itself"


class NationalRefusesUs(Unavailable):
    """The national index does not know us: wrong sender, signature or address. Nothing was done there."""

    code = "EMP-6003"
    zh = "国家居民主索引平台拒绝接入（状态 {status}）：请核对地址、机构标识和密钥"
    en = "the national index does not let us in (status {status}): check address, sender and secret"


class NationalAnswerUnreadable(Refusal):
    """What came from the national index is no message of the documented shape."""

    code = "EMP-6004"
    status = 422
    zh = "国家居民主索引平台的报文无法读取：{detail}"
    en = "a message of the national index cannot be read: {detail}"


class NationalItemNotRefused(Refusal):
    """Only what the national index refused is sent again by hand; everything else comes by itself."""

    code = "EMP-6101"
    status = 409
    zh = "该上传记录不存在或未被拒绝"
    en = "no such entry of the ledger, or it was not refused"


class NationalNoticeNotStuck(Refusal):
    """Only a notice that was refused or parked is taken up again by hand."""

    code = "EMP-6102"
    status = 409
    zh = "该下发通知不存在或无需重新处理"
    en = "no such notice, or it is not stuck"
