"""Errors of card accounts: CRD-1xxx."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class AccountNotFound(Refusal):
    """No such account, or none that the caller may see."""

    code = "CRD-1001"
    status = 404
    zh = "没有找到该电子健康卡"
    en = "no such card account"


class AccountFrozen(Refusal):
    """The account is frozen."""

    code = "CRD-1002"
    status = 409
    zh = "电子健康卡已冻结"
    en = "the card account is frozen"


class AccountCancelled(Refusal):
    """The account was cancelled; registering again opens a new one."""

    code = "CRD-1003"
    status = 409
    zh = "电子健康卡已注销"
    en = "the card account was cancelled"


class RealNameTooWeak(Refusal):
    """An existing account's code goes to a new app only with a proof at least as strong as the one it has."""

    code = "CRD-1004"
    status = 403
    zh = "该居民已有更高等级的实名认证，请先完成同等级的实名认证"
    en = "the account has a stronger real-name proof; prove the resident's identity at that level first"


class RealNameMismatch(Refusal):
    """The outside register says that name and number do not belong together."""

    code = "CRD-1005"
    status = 422
    zh = "实名核验不通过：姓名与证件号码不匹配"
    en = "the real-name check failed: name and number do not belong together"


class RealNameMethodNotAllowed(Refusal):
    """Reading a certificate is a terminal's proof; an app proves online."""

    code = "CRD-1006"
    status = 422
    zh = "该接入方不能使用实名方式 {method}"
    en = "this caller cannot prove identity by {method}"


class RegistrationRaced(Unavailable):
    """The index changed between the preparation and the registration; nothing was stored."""

    code = "CRD-1007"
    zh = "登记信息刚刚发生变化，请重试"
    en = "the register changed just now; please retry"


class FreezeByStronger(Refusal):
    """Somebody stronger froze the account: only the same party, or a stronger one, releases or cancels it."""

    code = "CRD-1008"
    status = 403
    zh = "该卡由其他机构或卡管理部门冻结，请由冻结方或卡管理部门处理"
    en = "another party froze this account; that party or the card office must release it"


class AliasNotFound(Refusal):
    """The account has no such earlier number."""

    code = "CRD-1009"
    status = 404
    zh = "该卡没有这个旧卡号"
    en = "the account has no such earlier VUID"


class NothingToChange(Refusal):
    """Everything that was sent is registered already."""

    code = "CRD-1010"
    status = 409
    zh = "提交内容与登记信息一致，无需变更"
    en = "everything that was sent is registered already; nothing to change"


class ProofNeeded(Refusal):
    """The change needs a stronger proof of who the resident is."""

    code = "CRD-1011"
    status = 403
    zh = "变更{field}需要更高等级的实名认证：{needed}"
    en = "a change of {field} needs a stronger real-name proof: {needed}"


class GuardianNotFit(Refusal):
    """Who manages another's card is an adult with an active account and a certificate of her own."""

    code = "CRD-1012"
    status = 409
    zh = "监护人须为持有有效证件、电子健康卡正常的成年人，且不能互为监护人"
    en = "a guardian is an adult with a certificate and an active account, and not the member's own ward"


class FamilyFull(Refusal):
    """The guardian manages as many family members as the platform allows."""

    code = "CRD-1013"
    status = 409
    zh = "家庭成员最多 {limit} 人"
    en = "at most {limit} family members"


class ConsentMissing(Refusal):
    """The member's own consent was not shown in a way that this caller may attest."""

    code = "CRD-1014"
    status = 403
    zh = "需要出示家庭成员的同意证明：{needed}"
    en = "the member's consent must be shown: {needed}"


class RelationNotFound(Refusal):
    """No such family relation, or none of an account that the caller holds."""

    code = "CRD-1015"
    status = 404
    zh = "没有找到该家庭成员关系"
    en = "no such family relation"


class DeathNeedsInstitution(Refusal):
    """A death is reported by an institution or the card office, with its date."""

    code = "CRD-1016"
    status = 403
    zh = "死亡登记须由医疗机构或卡管理部门办理，并提供死亡日期"
    en = "an institution or the card office reports a death, with its date"
