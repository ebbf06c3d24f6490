"""The thin part of UnionPay that does the I/O: sign, send, verify, decide what an answer means.

An answer is believed only when its signature verifies below the authorities that the account pins; anything else is
``PartyOutcomeUnknown``. UnionPay 5.1.0 cannot close a transaction that waits for its payer: ``payTimeout`` ends it, and
a query that still finds it unpaid five minutes later says closed. Money that comes all the same is late money.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import urlencode

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound
from yimatong.payments.channels.abilities import (
    AgreementKind,
    AgreementRequest,
    AgreementStanding,
    ChannelAgreement,
)
from yimatong.payments.channels.base import (
    BillKind,
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    FormPost,
    Notice,
    NoticeAnswer,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    Scene,
)
from yimatong.payments.channels.unionpay import agreements, files, signing
from yimatong.payments.channels.unionpay import transformers as wire
from yimatong.payments.errors import (
    BillBroken,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

PARTY = "unionpay"
ANSWER_BYTES_MAX = 128 << 20
_OK = 200
_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8", "User-Agent": "yimatong"}
_NO_TOKEN = frozenset({"34", "40"})
"""查无此交易, 绑定关系检查失败: the token is gone already."""


class UnionPay:
    """UnionPay 5.1.0 behind the port, and quick payment by bank card (``Agreeing``). Stateless.

    ``gateway_url`` is where ``frontTransReq.do`` and its like are (in production https://gateway.95516.com/gateway/api),
    ``files_url`` where reconciliation files are (https://filedownload.95516.com), both without a trailing slash. An
    account has the secrets ``private_key_pem``, ``cert_id``, ``root_cert_pem``, ``middle_cert_pem``,
    ``encrypt_cert_pem``, and ``secure_key`` for signMethod 11 and 12; its profile may have ``sign_method``, ``cn``,
    ``tr_id``, and ``sms`` = ``no`` where its contract asks for no code at token payments.
    """

    name = "unionpay"
    scenes = frozenset(wire.PLACE)
    agreement_kinds = frozenset({AgreementKind.BANK_CARD})

    def __init__(self, outbound: Outbound, gateway_url: str, files_url: str) -> None:
        """Send by ``outbound``."""
        self._outbound = outbound
        self._gateway_url = gateway_url
        self._files_url = files_url

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment. PAGE and H5 send nothing themselves: the payer's browser posts the signed form.

        An AGREEMENT payment without ``answer`` has an SMS code sent (challenge); with it, the money is taken.

        Raises:
            ChannelRefused, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        fields = wire.encode_intent(account, intent)
        if intent.scene in (Scene.PAGE, Scene.H5):
            return CashierAction(form=FormPost(url=self._api("frontTransReq"), fields=_signed(account, fields)))
        if intent.scene is Scene.AGREEMENT:
            if not intent.answer and account.profile.get("sms") != "no":
                asked = agreements.encode_pay_sms(
                    account, intent.attempt_no, intent.agreement_no, intent.amount_fen, intent.placed_at
                )
                return CashierAction(challenge=await self._have_sent(account, asked, now=now))
            fields |= agreements.payment_parts(account, intent.agreement_no, intent.answer)
        name = "appTransReq" if intent.scene is Scene.APP else "backTransReq"
        told = await self._call(account, self._api(name), fields, now=now)
        if told.get("respCode") == wire.REPEATED and intent.scene not in wire.FRONT:
            return CashierAction()  # it came before; a query says what became of it
        _done(told)
        _about(told, intent.attempt_no)
        if intent.scene is Scene.APP and told.get("tn"):
            return CashierAction(sdk_params={"tn": told["tn"]})
        if intent.scene is Scene.NATIVE and told.get("qrCode"):
            return CashierAction(qr_text=told["qrCode"])
        if intent.scene in wire.FRONT:
            raise _unknown(audit=f"placed: the answer has nothing for the scene {intent.scene}")
        return CashierAction()

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask by our number and its time (交易状态查询); see ``transformers`` for what an unknown number means."""
        fields = wire.encode_query(account, payment.attempt_no, payment.placed_at)
        told = await self._call(account, self._api("queryTrans"), fields, now=now)
        try:
            return wire.decode_query(told, account, payment, now=now)
        except wire.Garbled as error:
            raise _unknown(audit=f"query: {error}") from error

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Reverse (冲正) a BARCODE or AGREEMENT payment; of the others there is no close, and the next query decides.

        Raises:
            ChannelAlreadyPaid: it was paid and UnionPay refuses to reverse it.
            ChannelRefused: UnionPay refuses, and it was not paid.
        """
        if payment.scene in wire.FRONT:
            return
        told = await self._call(account, self._api("backTransReq"), wire.encode_reversal(account, payment), now=now)
        if told.get("respCode") in (wire.DONE, wire.UNKNOWN_NUMBER, wire.TAKEN_BACK):
            return
        found = await self.query(account, payment, now=now)
        if found.status is PaymentStatus.SUCCEEDED:
            raise ChannelAlreadyPaid(audit=f"reversal: respCode {told.get('respCode', '')}")
        _done(told)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund (退货); acceptance, not arrival. A number that was sent before is asked about instead."""
        fields = wire.encode_refund(account, request)
        told = await self._call(account, self._api("backTransReq"), fields, now=now)
        if told.get("respCode") == wire.REPEATED:
            return await self.query_refund(account, request, now=now)
        _done(told)
        _about(told, request.refund_no)
        try:
            return wire.accepted_refund(told, account, request)
        except wire.Garbled as error:
            raise _unknown(audit=f"refund: {error}") from error

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands, by its own number and time; an unknown number is ``ABSENT``."""
        fields = wire.encode_query(account, request.refund_no, request.asked_at)
        told = await self._call(account, self._api("queryTrans"), fields, now=now)
        try:
            return wire.decode_refund(told, account, request)
        except wire.Garbled as error:
            raise _unknown(audit=f"refund query: {error}") from error

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice (后台通知): a form; ``headers`` say nothing that counts.

        Raises:
            NoticeNotGenuine: signature, certificate or merchant do not hold.
            NoticeNotUnderstood: genuine, and of a kind or shape that is not ours.
        """
        del headers
        try:
            told = signing.read_form(body)
            _verify(account, told, now=now)
        except signing.Unverified as error:
            raise NoticeNotGenuine(audit=str(error)) from error
        if told.get("merId") != account.merchant_id:
            raise NoticeNotGenuine(audit="the notice is about another merchant")
        try:
            return wire.decode_notice(told, account)
        except wire.Garbled as error:
            raise NoticeNotUnderstood(audit=str(error)) from error

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return 200 ``ok``, or the status with the problem, after which the notice comes again."""
        if not problem:
            return NoticeAnswer(status=_OK, body=b"ok")
        return NoticeAnswer(status=status, body=problem.encode())

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the file of a settlement date (对账文件): the ZM records for TRADE, the ZME records for FUNDS.

        UnionPay names a date by month and day alone and keeps files for some months; ask for none older than that.

        Raises:
            BillNotReady: not written yet, or the day has no such records.
            BillBroken: what came is not a file as it is published.
        """
        fields = wire.encode_file(account, f"{day:%m%d}", now=now)
        told = await self._call(account, f"{self._files_url}/", fields, now=now)
        if told.get("respCode") == wire.NO_FILE:
            raise BillNotReady(day=day.isoformat(), audit="respCode 98")
        _done(told)
        if told.get("settleDate", f"{day:%m%d}") != f"{day:%m%d}":
            raise BillBroken(detail="another settlement date")
        wanted = files.DETAIL if kind is BillKind.TRADE else files.CORRECTIONS
        try:
            found = files.unpack(told.get("fileContent", ""), wanted)
        except files.Broken as error:
            raise BillBroken(detail=str(error)) from error
        if found is None:
            raise BillNotReady(day=day.isoformat(), audit=f"no {wanted} in the archive")
        return found

    async def agree(self, account: ChannelAccount, request: AgreementRequest, *, now: datetime) -> CashierAction:
        """Begin an agreement: with a card number an SMS code is sent (challenge), else UnionPay's page asks (form)."""
        if not request.card_number:
            fields = _signed(account, agreements.encode_open_page(account, request))
            return CashierAction(form=FormPost(url=self._api("frontTransReq"), fields=fields))
        await self._have_sent(account, agreements.encode_open_sms(account, request), now=now)
        return CashierAction(challenge=agreements.masked(request.phone))

    async def confirm_agreement(
        self, account: ChannelAccount, request: AgreementRequest, answer: str, *, now: datetime
    ) -> ChannelAgreement:
        """Open with the SMS code; the agreement's number is UnionPay's token."""
        fields = agreements.encode_open(account, request, answer)
        told = await self._call(account, self._api("backTransReq"), fields, now=now)
        if told.get("respCode") == wire.REPEATED:
            return await self.query_agreement(account, request, now=now)
        return _opening(told, request)

    async def query_agreement(
        self, account: ChannelAccount, request: AgreementRequest, *, now: datetime
    ) -> ChannelAgreement:
        """Ask how an opening stands (开通查询)."""
        fields = agreements.encode_open_query(account, request)
        return _opening(await self._call(account, self._api("backTransReq"), fields, now=now), request)

    async def end_agreement(
        self, account: ChannelAccount, request: AgreementRequest, agreement_no: str, *, now: datetime
    ) -> ChannelAgreement:
        """Delete the token (删除 token); one that UnionPay does not know any more has ended."""
        fields = agreements.encode_end(account, request, agreement_no)
        told = await self._call(account, self._api("backTransReq"), fields, now=now)
        if told.get("respCode") not in _NO_TOKEN:
            _done(told)
        return ChannelAgreement(
            request_no=request.request_no, standing=AgreementStanding.ENDED, agreement_no=agreement_no
        )

    async def _have_sent(self, account: ChannelAccount, fields: Mapping[str, str], *, now: datetime) -> str:
        told = await self._call(account, self._api("backTransReq"), fields, now=now)
        _done(told)
        try:
            return agreements.sent_to(told)
        except wire.Garbled as error:
            raise _unknown(audit=f"sms: {error}") from error

    def _api(self, name: str) -> str:
        return f"{self._gateway_url}/{name}.do"

    async def _call(
        self, account: ChannelAccount, url: str, fields: Mapping[str, str], *, now: datetime
    ) -> dict[str, str]:
        """Send and verify; only a signed answer about this merchant comes back."""
        body = urlencode(_signed(account, fields)).encode()
        answer = await self._outbound.send(PARTY, "POST", url, body=body, headers=_FORM)
        if answer.status != _OK or len(answer.body) > ANSWER_BYTES_MAX:
            raise _unknown(audit=f"HTTP {answer.status}, {len(answer.body)} bytes")
        try:
            told = signing.read_answer(answer.body)
            _verify(account, told, now=now)
        except signing.Unverified as error:
            raise _unknown(audit=str(error)) from error
        for name in ("merId", "orderId", "txnTime"):
            if fields[name] and told.get(name, fields[name]) != fields[name]:
                raise _unknown(audit=f"the answer has another {name}")
        return told


def _signed(account: ChannelAccount, fields: Mapping[str, str]) -> dict[str, str]:
    return signing.sign(
        fields,
        private_key_pem=wire.secret(account, "private_key_pem"),
        secure_key=wire.secret(account, "secure_key"),
    )


def _verify(account: ChannelAccount, told: Mapping[str, str], *, now: datetime) -> None:
    signing.verify(
        told,
        method=wire.sign_method(account),
        root_pem=wire.secret(account, "root_cert_pem"),
        middle_pem=wire.secret(account, "middle_cert_pem"),
        cn=account.profile.get("cn", signing.UNIONPAY_CN),
        secure_key=wire.secret(account, "secure_key"),
        now=now,
    )


def _unknown(*, audit: str) -> PartyOutcomeUnknown:
    return PartyOutcomeUnknown(party=PARTY, audit=audit)


def _done(told: Mapping[str, str]) -> None:
    """Return for an accepted request.

    Raises:
        ChannelRefused: an explicit refusal.
        ChannelBusy: asked too often.
        PartyOutcomeUnknown: any other code; the platform asks.
    """
    code = told.get("respCode", "")
    if code in (wire.DONE, wire.DEFECTIVE):
        return
    if code == wire.TOO_OFTEN:
        raise ChannelBusy(audit="respCode 37")
    if code in wire.REFUSED or code == wire.UNKNOWN_NUMBER:
        raise ChannelRefused(channel_code=code, channel_message=told.get("respMsg", ""))
    raise _unknown(audit=f"respCode {code[:8]}")


def _about(told: Mapping[str, str], order_no: str) -> None:
    if told.get("orderId") != order_no:
        raise _unknown(audit="the answer is about another order")


def _opening(told: Mapping[str, str], request: AgreementRequest) -> ChannelAgreement:
    try:
        return agreements.decode_opening(told, request)
    except wire.Garbled as error:
        raise _unknown(audit=f"opening: {error}") from error
