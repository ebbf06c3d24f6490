"""Error catalogue of the access room (ACC-)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class NotSigned(Refusal):
    """No readable ``Authorization`` header."""

    code = "ACC-1001"
    status = 401
    zh = "请求没有签名或签名头格式不正确：{detail}"
    en = "the request is not signed, or its signature header cannot be read: {detail}"


class CallerUnknown(Refusal):
    """The caller is not registered, or its signature does not hold: one answer for both."""

    code = "ACC-1002"
    status = 401
    zh = "调用方未登记或签名验证失败"
    en = "unknown caller, or the signature does not hold"


class CallerNotApproved(Refusal):
    """A genuine caller that is not approved (any more)."""

    code = "ACC-1003"
    status = 403
    zh = "调用方当前状态为 {state}，服务未开放"
    en = "the caller is {state}; the service is not open to it"


class TimestampOutOfWindow(Refusal):
    """The signed time stamp is too old or too far ahead."""

    code = "ACC-1004"
    status = 401
    zh = "请求时间戳超出允许范围（{window_s} 秒），服务器时间 {server_time}"
    en = "the time stamp is outside the window of {window_s} s; server time is {server_time}"


class NonceRepeated(Refusal):
    """A captured request was sent again. A retry uses a fresh nonce and the same idempotency key."""

    code = "ACC-1005"
    status = 401
    zh = "请求随机数已使用；重试请换新的 nonce 并保持 Idempotency-Key 不变"
    en = "the nonce was used; retry with a fresh nonce and the same Idempotency-Key"


class NotPermitted(Refusal):
    """The caller's role does not have the permission of this operation."""

    code = "ACC-1006"
    status = 403
    zh = "无权执行该操作：{permission}"
    en = "not permitted: {permission}"


class IdempotencyKeyMissing(Refusal):
    """Every write carries an ``Idempotency-Key``."""

    code = "ACC-1007"
    status = 400
    zh = "写操作必须携带 Idempotency-Key 请求头（1 到 64 个可见 ASCII 字符）"
    en = "a write needs an Idempotency-Key header (1 to 64 visible ASCII characters)"


class IdempotencyKeyReused(Refusal):
    """The same key with another request."""

    code = "ACC-1008"
    status = 422
    zh = "同一个 Idempotency-Key 已用于内容不同的请求"
    en = "this Idempotency-Key was used for another request"


class IdInvalid(Refusal):
    """The id of a caller or an institution could not be carried by a signed request."""

    code = "ACC-1011"
    status = 422
    zh = "编号不合规：{id}；须为 1 到 64 个字母、数字或 . _ -，且不能是 null"
    en = "not an id: {id}; 1 to 64 letters, digits or . _ -, and not the word null"


class FrontNotGenuine(Refusal):
    """The front's own channel does not hold, or the terminal does not belong to the front's institution."""

    code = "ACC-1009"
    status = 401
    zh = "前置机通道验证失败"
    en = "the front's channel does not hold"


class FrontRequired(Refusal):
    """A terminal that must come through its institution's front called directly."""

    code = "ACC-1010"
    status = 403
    zh = "该终端必须通过机构前置机接入"
    en = "this terminal must come through its institution's front"


class LoginRefused(Refusal):
    """Wrong login or password: one answer for both."""

    code = "ACC-2001"
    status = 401
    zh = "用户名或密码不正确"
    en = "wrong login or password"


class LoginLocked(Refusal):
    """Five failures in a row; open again after a quarter of an hour."""

    code = "ACC-2002"
    status = 429
    zh = "连续失败次数过多，请于 {minutes} 分钟后再试"
    en = "too many failures; try again in {minutes} minutes"


class SessionEnded(Refusal):
    """No session, or it has ended (idle for a quarter of an hour, or eight hours old)."""

    code = "ACC-2003"
    status = 401
    zh = "登录已失效，请重新登录"
    en = "the session has ended, please log in again"


class RolesConflict(Refusal):
    """三员分立: system, security and audit administration are three persons, and none of them does business."""

    code = "ACC-2004"
    status = 409
    zh = "三员分立：系统管理员、安全管理员、审计管理员不得由一人兼任，也不得兼任业务角色"
    en = "system, security and audit administrators are three persons and hold no business role"


class PasswordTooWeak(Refusal):
    """Fewer than 10 characters or fewer than three of the four kinds of characters."""

    code = "ACC-2005"
    status = 422
    zh = "口令至少 10 位，且包含大写、小写、数字、符号中的三类"
    en = "a password needs 10 characters and three of: upper case, lower case, digits, symbols"


class LinkEnded(Refusal):
    """A page link that is unknown, used up or too old."""

    code = "ACC-2006"
    status = 410
    zh = "链接已失效，请从原应用重新打开"
    en = "this link has ended; open the page again from your app"


class ApprovalNotOpen(Refusal):
    """The proposal does not exist or was decided already."""

    code = "ACC-3001"
    status = 409
    zh = "该申请不存在或已处理"
    en = "no such open proposal"


class ApproverIsProposer(Refusal):
    """Two persons: who proposes does not approve."""

    code = "ACC-3002"
    status = 403
    zh = "提出人不得审批自己的申请"
    en = "who proposes must not approve"


class CeremonyUnknown(Refusal):
    """No key ceremony has this id."""

    code = "ACC-3101"
    status = 404
    zh = "没有编号为 {approval_id} 的密钥操作"
    en = "there is no key ceremony {approval_id}"


class CeremonyInvalid(Refusal):
    """A proposed key ceremony lacks something or makes no sense."""

    code = "ACC-3102"
    status = 422
    zh = "密钥操作申请不完整或不合理：{detail}"
    en = "the proposed key ceremony is incomplete or makes no sense: {detail}"


class CeremonyNotApproved(Refusal):
    """A second custodian has not approved the key ceremony, or rejected it."""

    code = "ACC-3103"
    status = 409
    zh = "该密钥操作尚未经第二人批准，或已被驳回"
    en = "no second custodian has approved this key ceremony"


class CeremonyOver(Refusal):
    """A key ceremony is performed once."""

    code = "ACC-3104"
    status = 409
    zh = "该密钥操作已经结束（{state}），不会重复执行"
    en = "this key ceremony is over ({state}) and is not performed again"


class CeremonyRunning(Refusal):
    """One key ceremony at a time; another one is under way or was broken off and must be finished first."""

    code = "ACC-3105"
    status = 409
    zh = "另一个密钥操作正在执行或中断未完成，请先完成它（ymt keys list 可查看）"
    en = "another key ceremony is under way or was broken off; finish it first (ymt keys list shows it)"


class CustodianTwice(Refusal):
    """Each component comes from another custodian, and each once."""

    code = "ACC-3106"
    status = 409
    zh = "每个分量须由不同的保管人各录入一次"
    en = "each component is brought by another custodian, once"


class KeyStillNeeded(Refusal):
    """A key version cannot be destroyed while something stands on it."""

    code = "ACC-3107"
    status = 409
    zh = "该密钥版本仍被使用，不能销毁：{what}（{rows} 条）"
    en = "this key version is still needed and cannot be destroyed: {what} ({rows} rows)"


class CodesStillValid(Refusal):
    """A rotation, switch-off or destruction would refuse codes within their lifetime, and is no emergency."""

    code = "ACC-3108"
    status = 409
    zh = (
        "第 {version} 版密钥所制的码仍在有效期内（至多 {codes} 个），{until}（北京时间）起可执行；"
        "密钥泄露须立即更换时用 --emergency"
    )
    en = (
        "codes made with version {version} are still valid ({codes} at most); possible from {until} (Beijing time) on, "
        "or at once with --emergency when the key is compromised"
    )


class KeyVersionsShort(Refusal):
    """The version numbers of a key (1 to 255) are nearly used up; the last ones are kept for emergencies."""

    code = "ACC-3109"
    status = 409
    zh = "{usage} 密钥的版本号仅剩 {left} 个，最后 {reserve} 个留作应急（--emergency）；请联系平台开发方扩展版本号"
    en = (
        "the {usage} key has {left} version numbers left; the last {reserve} are kept for emergencies (--emergency): "
        "have the number widened before they are used up"
    )


class KeySettling(Refusal):
    """A version that stopped being active a moment ago: what was begun with it may still be on its way."""

    code = "ACC-3110"
    status = 409
    zh = "第 {version} 版密钥刚刚还在用于加密，{until}（北京时间）起可销毁"
    en = "version {version} was used for sealing a moment ago; it can be destroyed from {until} (Beijing time) on"


class WritesStillOpen(Refusal):
    """A transaction that began while the version was active is still open, and may store what it sealed."""

    code = "ACC-3111"
    status = 409
    zh = "{since}（北京时间）开始的数据库事务尚未结束，可能仍会写入用第 {version} 版密钥加密的数据；结束后再销毁"
    en = (
        "a database transaction open since {since} (Beijing time) may still store what version {version} sealed; "
        "destroy it when that is over"
    )


class LoginTaken(Refusal):
    """A login belongs to one operator for good, also after it was switched off."""

    code = "ACC-2007"
    status = 409
    zh = "登录名 {login} 已被使用（停用的登录名也不再分配）"
    en = "the login {login} is taken (a login that was switched off is not given again)"


class WebhookNotTaken(Unavailable):
    """A caller's system answered a delivery with something else than 2xx; it is sent again."""

    code = "ACC-4001"
    zh = "机构系统未接收通知（HTTP {status}）"
    en = "the institution's system did not take the news (HTTP {status})"


class WebhookAddressRefused(Refusal):
    """The platform does not deliver to such an address (operations: ``webhook_hosts``)."""

    code = "ACC-4002"
    status = 422
    zh = "不能向该地址推送：{reason_zh}"
    en = "nothing is delivered to this address: {reason_en}"
