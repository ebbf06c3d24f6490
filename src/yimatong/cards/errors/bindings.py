"""Errors of bindings and of real-name checks by outside parties: CRD-1040 to CRD-1069."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class BindingNotFound(Refusal):
    """No such binding of this account."""

    code = "CRD-1040"
    status = 404
    zh = "没有找到该绑定"
    en = "the account has no such binding"


class CardBoundAlready(Refusal):
    """The account has this very card already."""

    code = "CRD-1041"
    status = 409
    zh = "该卡已绑定在本账户上"
    en = "the card is bound to this account already"


class CardOfAnother(Refusal):
    """A card belongs to one holder: it is bound to another person's account."""

    code = "CRD-1042"
    status = 409
    zh = "该卡已绑定在他人的账户上"
    en = "the card is bound to another person's account"


class BindingsFull(Refusal):
    """The account has as many cards as one may have."""

    code = "CRD-1043"
    status = 409
    zh = "绑定的卡已达上限 {limit} 张，请先解绑"
    en = "the account has {limit} bound cards, the most allowed; unbind one first"


class BindingStartsTooMany(Refusal):
    """Too many bindings were started for the account today."""

    code = "CRD-1044"
    status = 429
    zh = "今日绑卡次数已达上限，请明日再试"
    en = "too many bindings were started today; try again tomorrow"


class CardHolderMismatch(Refusal):
    """The bank or the insurer says that the card is not this resident's."""

    code = "CRD-1045"
    status = 422
    zh = "发卡方核验不通过：该卡与本人姓名、证件号码或预留手机号不一致"
    en = "the issuer says that the card does not belong to this name, certificate and phone"


class CardNotUsable(Refusal):
    """The bank or the insurer will not bind the card: it is lost, frozen, closed or not open for this."""

    code = "CRD-1046"
    status = 422
    zh = "发卡方不受理该卡（挂失、冻结、销户或未开通）"
    en = "the issuer does not accept the card (lost, frozen, closed or not open for this)"


class ChallengeWrong(Refusal):
    """The code or the amount is not the one that the bank sent."""

    code = "CRD-1047"
    status = 422
    zh = "验证码或金额不正确，还可尝试 {tries_left} 次"
    en = "the code or amount is wrong; {tries_left} tries left"


class ChallengeFailed(Refusal):
    """Too many wrong answers: the binding has failed and must be started again."""

    code = "CRD-1048"
    status = 409
    zh = "验证失败次数过多，本次绑定已失败，请重新发起"
    en = "too many wrong answers: this binding has failed; start again"


class ChallengeExpired(Refusal):
    """The bank's challenge was not answered in time."""

    code = "CRD-1049"
    status = 409
    zh = "验证已超时，请重新发起绑定"
    en = "the challenge has expired; start the binding again"


class ChallengeAnswerMissing(Refusal):
    """The answer does not fit the challenge: a code of six digits for an SMS, an amount in fen for a small amount."""

    code = "CRD-1050"
    status = 422
    zh = "本次绑定需要提交 {needed}"
    en = "this binding is confirmed by {needed}"


class BindingBusy(Refusal):
    """The issuer is being asked about this binding at this moment."""

    code = "CRD-1051"
    status = 409
    zh = "该绑定正在处理中，请稍后查询"
    en = "the binding is being worked on; look again in a moment"
    retryable = True


class BindingNotOpen(Refusal):
    """The binding is not in a state in which this can be done."""

    code = "CRD-1052"
    status = 409
    zh = "该绑定的状态（{state}）不允许此操作"
    en = "this cannot be done with a binding that is {state}"


class UnbindingNotProven(Refusal):
    """Certificate and card number must both be those of the binding; which one is wrong is not said."""

    code = "CRD-1053"
    status = 422
    zh = "证件信息或卡号不正确"
    en = "the certificate or the card number is wrong"


class UnbindingTriesSpent(Refusal):
    """Too many wrong tries to unbind today; even the right data are refused until tomorrow."""

    code = "CRD-1054"
    status = 429
    zh = "今日解绑验证错误次数过多，请明日再试"
    en = "too many wrong tries to unbind today; try again tomorrow"


class CardPasswordWrong(Refusal):
    """The insurer says that the card's password is wrong."""

    code = "CRD-1055"
    status = 422
    zh = "社保卡/合疗证密码不正确，还可尝试 {tries_left} 次"
    en = "the password of the insurance card is wrong; {tries_left} tries left"


class CardPasswordLocked(Refusal):
    """The insurer has locked the card after too many wrong passwords; it unlocks it at its own counter."""

    code = "CRD-1056"
    status = 409
    zh = "密码错误次数过多，该卡已被经办机构锁定，请到经办机构解锁"
    en = "the insurer locked the card after too many wrong passwords; it unlocks it at its counter"


class RealNameProofMissing(Refusal):
    """The chosen way of proving the identity needs facts that were not given."""

    code = "CRD-1060"
    status = 422
    zh = "实名方式 {method} 需要提供 proof.{needed}"
    en = "proof by {method} needs proof.{needed}"


class RealNameProofUnwanted(Refusal):
    """The chosen way of proving the identity does not use these facts; personal data is not taken for nothing."""

    code = "CRD-1061"
    status = 422
    zh = "实名方式 {method} 不使用 proof.{given}，请勿提交"
    en = "proof by {method} does not use proof.{given}; leave it out"


class PartyNotConnected(Unavailable):
    """This installation has no contract with the party: its address or its keys are those of the demonstration."""

    code = "CRD-1062"
    retryable = False
    zh = "本平台尚未接入 {party}"
    en = "this installation is not connected with {party}"


class PartyBusy(Unavailable):
    """The party limits how often it may be asked."""

    code = "CRD-1063"
    zh = "{party} 限制了访问频率，请 {retry_after_s} 秒后重试"
    en = "{party} limits how often it may be asked; try again in {retry_after_s} seconds"


class PartyRefusesUs(Unavailable):
    """The party does not accept our signature or our request: a matter for the operator."""

    code = "CRD-1064"
    retryable = False
    zh = "{party} 拒绝了本平台的请求，请联系平台运营方"
    en = "{party} refuses the platform's requests; tell the operator of the platform"
