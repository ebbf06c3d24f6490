"""Error catalogue of the gateways (GWY-)."""

from __future__ import annotations

from typing import ClassVar

from yimatong.kit.errors import OutcomeUnknown, Refusal, Unavailable


class PathNotServed(Refusal):
    """This front does not serve the operation."""

    code = "GWY-1001"
    status = 404
    zh = "本前置机不提供该服务"
    en = "this front does not serve the operation"


class RequestRepeated(Refusal):
    """The same signed request passed this front a moment ago."""

    code = "GWY-1002"
    status = 409
    zh = "重复请求已被前置机拦截"
    en = "the same signed request passed this front a moment ago"


class CentreUnreachable(Unavailable):
    """The centre cannot be reached; nothing was sent."""

    code = "GWY-5001"
    zh = "暂时无法连接中心平台，请稍后重试"
    en = "the centre cannot be reached; nothing was sent, retry is safe"


class CentreOutcomeUnknown(OutcomeUnknown):
    """The centre got the request and its answer is missing."""

    code = "GWY-5002"
    status = 504
    zh = "中心平台的处理结果未知，请用同一幂等键重试"
    en = "the outcome at the centre is unknown; retry with the same idempotency key"


class MessageFault(Refusal):
    """Root of what can be wrong with an HL7 v2 message. Never raised itself.

    ``condition`` is its code of HL7 table 0357 (ERR-3), ``acknowledgement`` the code of table 0008 (MSA-1); the fact
    ``location`` says where (ERR-2).
    """

    condition: ClassVar[str] = "207"
    acknowledgement: ClassVar[str] = "AE"


class MessageUnreadable(MessageFault):
    """No message of HL7 v2, or other separators than the recommended ones."""

    code = "GWY-3101"
    condition, acknowledgement = "100", "AR"
    zh = "无法解析的HL7 v2消息"
    en = "not a readable HL7 v2 message"


class CharacterSetUnsupported(MessageFault):
    """MSH-18 names a character set that is not known here."""

    code = "GWY-3102"
    condition, acknowledgement = "103", "AR"
    zh = "不支持的字符集：{charset}"
    en = "unsupported character set: {charset}"


class SegmentMissing(MessageFault):
    """A segment that the message needs is not there."""

    code = "GWY-3103"
    condition = "100"
    zh = "缺少消息段：{segment}"
    en = "segment missing: {segment}"


class FieldMissing(MessageFault):
    """A field that the message needs is empty."""

    code = "GWY-3104"
    condition = "101"
    zh = "缺少必填字段：{field}"
    en = "required field missing: {field}"


class FieldUnreadable(MessageFault):
    """A field does not have the form of its data type."""

    code = "GWY-3105"
    condition = "102"
    zh = "字段格式错误：{field}"
    en = "data type error: {field}"


class TableValueUnknown(MessageFault):
    """A field holds a value that its table does not have."""

    code = "GWY-3106"
    condition = "103"
    zh = "字段取值不在代码表内：{field}"
    en = "table value not found: {field}"


class MessageTypeUnsupported(MessageFault):
    """Not a type of message that is served here."""

    code = "GWY-3107"
    condition, acknowledgement = "200", "AR"
    zh = "不支持的消息类型：{type}"
    en = "unsupported message type: {type}"


class EventUnsupported(MessageFault):
    """Not a trigger event that is served here."""

    code = "GWY-3108"
    condition, acknowledgement = "201", "AR"
    zh = "不支持的触发事件：{event}"
    en = "unsupported event code: {event}"


class VersionUnsupported(MessageFault):
    """Not a version of HL7 v2 that is served here."""

    code = "GWY-3109"
    condition, acknowledgement = "203", "AR"
    zh = "不支持的HL7版本：{version}"
    en = "unsupported version: {version}"


class KeyUnknown(MessageFault):
    """An identifier, or the domain of one, is not known."""

    code = "GWY-3110"
    condition = "204"
    zh = "未知的标识或标识域"
    en = "unknown key identifier or assigning authority"


class SenderUnknown(MessageFault):
    """The sending application and facility are no partner, or not from this address."""

    code = "GWY-3111"
    condition, acknowledgement = "207", "AR"
    zh = "发送方未登记或来源地址不符"
    en = "the sender is not registered, or not at this address"


class ProcessingIdUnsupported(MessageFault):
    """MSH-11 says training or debugging; only production messages are taken."""

    code = "GWY-3112"
    condition, acknowledgement = "202", "AR"
    zh = "不支持的处理标识：{processing_id}"
    en = "unsupported processing id: {processing_id}"
