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


class V3MessageUnreadable(Refusal):
    """No well-formed HL7 v3 message, too large, or with a document type."""

    code = "GWY-3201"
    zh = "无法解析的HL7 v3消息"
    en = "not a readable HL7 v3 message"


class V3FieldMissing(Refusal):
    """An element that the message needs is not there."""

    code = "GWY-3202"
    status = 422
    zh = "缺少必填元素：{field}"
    en = "required element missing: {field}"


class V3FieldUnreadable(Refusal):
    """An element does not have the form of its data type."""

    code = "GWY-3203"
    status = 422
    zh = "元素格式错误：{field}"
    en = "element of a wrong form: {field}"


class ActionUnknown(Refusal):
    """Not an action of the message server, or not the one that the message belongs to."""

    code = "GWY-3204"
    zh = "不支持的交易或消息：{action}"
    en = "unsupported action or message: {action}"


class FhirFault(Refusal):
    """Root of what FHIR requests are refused for. Never raised itself.

    ``issue`` is its code of http://hl7.org/fhir/issue-type, ``severity`` that of the issue.
    """

    issue: ClassVar[str] = "processing"
    severity: ClassVar[str] = "error"


class ResourceMalformed(FhirFault):
    """A body that is no FHIR R4 resource: unknown element, wrong type, not JSON or XML. The value is never told."""

    code = "GWY-2001"
    status = 400
    issue = "structure"
    zh = "资源结构不符合 FHIR R4：{path}（{reason}）"
    en = "not a FHIR R4 resource: {path} ({reason})"


class ElementMissing(FhirFault):
    """A resource lacks an element that the transaction needs."""

    code = "GWY-2002"
    status = 400
    issue = "required"
    zh = "缺少必填元素：{path}"
    en = "a required element is missing: {path}"


class ElementRefused(FhirFault):
    """An element holds a value that the transaction does not allow, or the platform does not keep."""

    code = "GWY-2003"
    status = 422
    issue = "value"
    zh = "元素取值不可用：{path}（{reason}）"
    en = "the value of an element cannot be used: {path} ({reason})"


class FormatNotAcceptable(FhirFault):
    """Neither FHIR's JSON nor its XML, nor version 4.0, is what the caller accepts."""

    code = "GWY-2004"
    status = 406
    issue = "not-supported"
    zh = "不支持所要求的应答格式；可用 application/fhir+json、application/fhir+xml，fhirVersion=4.0"
    en = "the requested format is not supported; application/fhir+json and application/fhir+xml, fhirVersion=4.0, are"


class BodyFormatUnsupported(FhirFault):
    """A body that says it is something else than FHIR's JSON or XML of version 4.0, or a search form."""

    code = "GWY-2005"
    status = 415
    issue = "not-supported"
    zh = "不支持的请求体格式；可用 application/fhir+json、application/fhir+xml，fhirVersion=4.0"
    en = "the body's format is not supported; application/fhir+json and application/fhir+xml, fhirVersion=4.0, are"


class ParameterInvalid(FhirFault):
    """A parameter of a search or an operation has a value that its type does not have, or is there too often."""

    code = "GWY-2006"
    status = 400
    issue = "invalid"
    zh = "参数值无效：{parameter}（{reason}）"
    en = "the value of a parameter is invalid: {parameter} ({reason})"


class ParameterUnknown(FhirFault):
    """A search parameter or modifier that is not served, where the caller prefers strict handling."""

    code = "GWY-2007"
    status = 400
    issue = "not-supported"
    zh = "不支持的参数：{parameter}"
    en = "unsupported parameter: {parameter}"


class SourceDomainUnknown(FhirFault):
    """ITI-83: the assigning authority of the source identifier is not known (2:3.83.4.2.2.3)."""

    code = "GWY-2009"
    status = 400
    issue = "code-invalid"
    zh = "源标识的标识域未登记"
    en = "sourceIdentifier Assigning Authority not found"


class SourceIdentifierUnknown(FhirFault):
    """ITI-83: the domain is known, the identifier is not (2:3.83.4.2.2.2)."""

    code = "GWY-2010"
    status = 404
    issue = "not-found"
    zh = "没有找到源标识"
    en = "sourceIdentifier Patient Identifier not found"


class TargetSystemUnknown(FhirFault):
    """ITI-83: a domain whose identifiers are wanted is not known (2:3.83.4.2.2.4)."""

    code = "GWY-2011"
    status = 403
    issue = "code-invalid"
    zh = "目标标识域未登记"
    en = "targetSystem not found"


class SearchDomainUnknown(FhirFault):
    """ITI-78: a domain to which the search is constrained is not known (2:3.78.4.1.3 case 4)."""

    code = "GWY-2012"
    status = 404
    issue = "not-found"
    severity = "warning"
    zh = "查询指定的标识域未登记"
    en = "targetSystem not found"


class FeedDomainUnknown(FhirFault):
    """ITI-104, ITI-93: no identifier of the record is of a domain that is known and the provider's own."""

    code = "GWY-2013"
    status = 422
    issue = "code-invalid"
    zh = "标识域未登记，或不属于该机构"
    en = "the identifier's domain is not known, or not this provider's own"


class ExtensionNotUnderstood(FhirFault):
    """A modifier extension or implicit rules that are not known here could change what the resource means."""

    code = "GWY-2014"
    status = 400
    issue = "extension"
    zh = "含有不识别的修饰扩展：{path}"
    en = "a modifier extension or rule that is not understood: {path}"


class VersionConflict(FhirFault):
    """The resource is not in the version that If-Match names, or a conditional interaction fits more than one."""

    code = "GWY-2015"
    status = 412
    issue = "conflict"
    zh = "资源版本或条件与当前状态不符"
    en = "the resource is not in the version named, or the condition does not fit exactly one"


class UnmergeRefused(FhirFault):
    """A retired record whose link to its survivor was left away: the feed cannot undo a merge (ITI-93)."""

    code = "GWY-2016"
    status = 405
    issue = "not-supported"
    zh = "不能通过报送撤销合并，请联系索引管理员"
    en = "the feed cannot undo a merge; a data steward can"


class SubscriptionRefused(FhirFault):
    """A Subscription with criteria, channel or payload that is not served (ITI-94)."""

    code = "GWY-2017"
    status = 422
    issue = "not-supported"
    zh = "不支持的订阅：{path}"
    en = "this subscription is not served: {path}"


class MessageRefused(FhirFault):
    """A message bundle of another event, or without the header and the history that ITI-93 wants."""

    code = "GWY-2018"
    status = 422
    issue = "not-supported"
    zh = "不支持的消息：{path}"
    en = "this message is not served: {path}"


class RequestsTooMany(FhirFault):
    """A caller sends more requests a second than the settings allow one."""

    code = "GWY-2019"
    status = 429
    issue = "throttled"
    zh = "请求过于频繁，请 {retry_after_s} 秒后重试"
    en = "too many requests; retry after {retry_after_s} s"


class CredentialsMissing(FhirFault):
    """Neither HTTP Basic credentials (RFC 7617) nor the signature of the native API."""

    code = "GWY-2020"
    status = 401
    issue = "login"
    zh = "缺少身份凭证：请用 HTTP Basic 或平台签名"
    en = "credentials are missing: HTTP Basic or the platform's signature"
