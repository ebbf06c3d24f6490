"""A hospital that has every payment channel, each enrolled at its simulator on the wire, for the cashier's tests."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import msgspec
from sqlalchemy import insert
from stage import APP

from yimatong.access import callers
from yimatong.access.caller import PLATFORM, Caller
from yimatong.access.callers import Institution
from yimatong.apps.assembly import assemble
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.labels import kiosk
from yimatong.cards.models import binding
from yimatong.care.bills import service as bills
from yimatong.care.bills.schemas import NewBill
from yimatong.care.models import visit
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.agreements import service as agreements
from yimatong.payments.agreements.schemas import NewAgreement
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.orders.schemas import Item
from yimatong.payments.receipts import service as receipts
from yimatong.payments.receipts.issuer import FinancePlatform
from yimatong.sandbox.alipay.enrolment import app_keys
from yimatong.sandbox.local import LocalWorld
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong.sandbox.netbank.enrolment import merchant_keys as bank_keys
from yimatong.sandbox.signed import APP_ID, SECRET_HEX
from yimatong.sandbox.unionpay.control import Certificates
from yimatong.sandbox.unionpay.enrol import Enrolled, merchant_keys

RICH = "inst-c1"
RICH_NAME = "陕西省人民医院（西北妇女儿童医院集团雁塔院区国际医疗部·演示）"
POLICY = "PO2026CASHIER01"
AGREEMENT, CREDIT_PAYER = "CR2026CASHIER01", "r-777"
_MER_ID, _MER_ACCT, _BANK = "0200EC20001777", "0200026009018377777", "icbc"


def address_settings(world: LocalWorld) -> dict[str, str]:
    """Return where every channel is in a running world."""
    return {
        "wechat_base_url": world.url,
        "alipay_gateway_url": f"{world.url}/alipay/gateway.do",
        "unionpay_gateway_url": f"{world.url}/unionpay/gateway/api",
        "unionpay_files_url": f"{world.url}/unionpay/files",
        "credit_base_url": f"{world.url}/credit",
        "commercial_base_url": f"{world.url}/commercial",
        "insurance_base_url": f"{world.url}/insurance",
    }


async def enrol_everywhere(stage: Any) -> None:
    """Enter the hospital and its accounts; once for a stage."""
    world = stage.world
    made = [
        *(_wechat(world), _alipay(world), _unionpay(world), _netbank(world)),
        *(_signed(world, "credit"), _signed(world, "commercial"), _insurance(world)),
    ]

    async def enter(tx: Any, parts: Any) -> None:
        hospital = Institution(
            institution_id=RICH, name=RICH_NAME, kind="hospital", org_code="435628099", region_code="610100"
        )
        await callers.add_institution(tx, hospital, now=clock.now())
        await callers.enrol(
            tx, parts.vault, caller_id="term-c1", kind="terminal", name="缴费自助机", institution_id=RICH,
            secret=bytes(32), now=clock.now(),
        )  # fmt: skip
        for each in made:
            await accounts.put_account(tx, parts.vault, each, now=clock.now())

    await stage.act(enter)


def _account(channel: str, merchant_id: str, app_id: str, kept: dict[str, str], **profile: str) -> ChannelAccount:
    return ChannelAccount(
        account_id=f"{channel}-{RICH}",
        institution_id=RICH,
        channel=channel,
        merchant_id=merchant_id,
        app_id=app_id,
        secrets={name: Secret(value) for name, value in kept.items()},
        profile=profile,
    )


def _wechat(world: LocalWorld) -> ChannelAccount:
    enrolled = world.enrol(mchid="1900000777", appid="wx0000000000000777", name=RICH_NAME)
    names = ("private_key_pem", "serial_no", "api_v3_key", "platform_key_id", "platform_public_key_pem")
    return _account("wechat", enrolled.mchid, enrolled.appid, {name: getattr(enrolled, name) for name in names})


def _alipay(world: LocalWorld) -> ChannelAccount:
    app, private_key_pem = app_keys(app_id="2021000000000777", pid="2088000000000777", name=RICH_NAME)
    shown = world.control("/control/alipay/merchants", msgspec.to_builtins(app))
    kept = {"private_key_pem": private_key_pem, "alipay_public_key_pem": next(iter(shown.values()))}
    return _account("alipay", app.pid, app.app_id, kept)


def _unionpay(world: LocalWorld) -> ChannelAccount:
    merchant, private_key_pem = merchant_keys(mer_id="777290058110777", name=RICH_NAME)
    shown = world.control("/control/unionpay/merchants", msgspec.to_builtins(merchant))
    enrolled = Enrolled(merchant=merchant, private_key_pem=private_key_pem, certificates=Certificates(**shown))
    return _account("unionpay", merchant.mer_id, "", enrolled.secrets(), **enrolled.profile())


def _netbank(world: LocalWorld) -> ChannelAccount:
    merchant, private_key_pem = bank_keys(bank=_BANK, mer_id=_MER_ID, mer_acct=_MER_ACCT, name=RICH_NAME)
    shown = world.control("/control/netbank/merchants", msgspec.to_builtins(merchant))
    kept = {"private_key_pem": private_key_pem, "bank_public_key_pem": shown["bank_public_key_pem"]}
    base = f"{world.url}/netbank/{_BANK}"
    addresses = {f"{verb}_url": f"{base}/{verb}" for verb in ("pay", "query", "refund", "file")}
    return _account("netbank", _MER_ID, _MER_ACCT, kept, bank=_BANK, mer_cert=merchant.mer_cert, **addresses)


def _signed(world: LocalWorld, channel: str) -> ChannelAccount:
    secret = secrets.token_hex(32)
    facts = {"merchant_id": RICH, "app_id": f"ymt-{RICH}", "secret_hex": secret}
    world.control(f"/control/{channel}/merchants", facts)
    if channel == "credit":
        world.control(
            "/control/credit/lines", {"agreement_no": AGREEMENT, "payer_id": CREDIT_PAYER, "limit_fen": 10**7}
        )
    return _account(channel, RICH, f"ymt-{RICH}", {"secret_hex": secret})


def policy_for(world: LocalWorld, *, name: str, id_number: str) -> None:
    """Insure somebody at the simulated commercial insurer."""
    facts = {"policy_no": POLICY, "name": name, "id_number": id_number, "left_fen": 10**9}
    world.control("/control/commercial/policies", facts)


def _insurance(world: LocalWorld) -> ChannelAccount:
    institution, private_key = institution_keys(fixmedins_code="H61010000777")
    shown = world.control("/control/insurance/institutions", msgspec.to_builtins(institution))
    kept = {
        "private_key": private_key,
        "app_secret": institution.app_secret,
        "platform_public_key": shown["platform_public_key"],
    }
    code = institution.fixmedins_code
    return _account("insurance", code, institution.app_id, kept, fixmedins_code=code)


def certificate_line(name: str, id_number: str, *, secret: bytes = bytes(32)) -> str:
    """Type what a kiosk's certificate reader types."""
    payload = base64.urlsafe_b64encode(json.dumps({"id_type": "01", "id_number": id_number, "name": name}).encode())
    text, at = payload.decode().rstrip("="), int(clock.now().timestamp())
    return f"{kiosk.LINE_MARK}{text}.{at}.{kiosk.line_signature(HmacSm3(secret), text, at)}"


async def care_bills(stage: Any, vuid: str, *lines: tuple[str, int]) -> list[str]:
    """Book bills of a visit at the hospital with every channel; return their numbers."""
    his = Caller(caller_id="his-c1", kind="institution", name="HIS", institution_id=RICH)
    visit_no = f"V{secrets.token_hex(6)}"

    async def book(tx: Any, parts: Any) -> list[str]:
        await tx.execute(
            insert(visit).values(
                institution_id=RICH, visit_no=visit_no, vuid=vuid, department="心血管内科", doctor="王医生",
                visited_at=clock.now(),
                verification_id=f"rec_{visit_no}", created_at=clock.now(),
            )
        )  # fmt: skip
        numbers = []
        for name, fen in lines:
            new = NewBill(
                visit_no=visit_no, bill_no=f"B{secrets.token_hex(6)}", description=name, total_fen=fen,
                items=[Item(name=f"{name}项目", amount_fen=fen)],
            )  # fmt: skip
            await bills.book(tx, new, desk=parts.desk, caller=his, now=clock.now())
            numbers.append(new.bill_no)
        return numbers

    return await stage.act(book)


async def kiosk_link(stage: Any, terminal: str = "term-c1") -> str:
    """Return a fresh link that opens a kiosk's browser."""
    wanted = kiosk.Kiosk(caller_id=terminal, size="50x30", symbology="qr", staff=False)
    return await stage.act(lambda tx, _: kiosk.make_link(tx, wanted, now=clock.now()))


async def bind_card(stage: Any, key: str = "zhang") -> None:
    """Bind a bank card to a resident and have her agree to quick payment with UnionPay's code."""
    number, vuid, binding_id = "6216261000000000018", stage.vuids[key], "bkc_" + "5c" * 16

    async def bind(tx: Any, parts: Any) -> None:
        sealer = await parts.vault.sealer()
        now = clock.now()
        await tx.execute(
            insert(binding).values(
                vuid=vuid, binding_id=binding_id, kind="bank_card", state="confirmed", number_blind=b"12345678",
                sealed=sealer.seal(number.encode(), bindings.aad(vuid, binding_id)),
                agreement=sealer.seal(b"BANK-1", bindings.agreement_aad(vuid, binding_id)),
                tail="0018", issuer="ICBC", card_kind="debit", made_by="app-1", made_at=now, changed_at=now,
                confirmed_at=now,
            )
        )  # fmt: skip

    await stage.act(bind)
    parts = assemble(stage.settings)
    try:
        new = NewAgreement(
            vuid=vuid, institution_id=RICH, channel="unionpay", kind="bank_card", binding_id=binding_id
        )  # fmt: skip
        made = await agreements.make(parts.desk, new, caller=APP, now=clock.now())
        done = await agreements.confirm(parts.desk, made.agreement_id, sms_code(stage), scope=PLATFORM, now=clock.now())
        assert done.state == "agreed"
    finally:
        await parts.close()


def sms_code(stage: Any) -> str:
    """Return the code that UnionPay's simulator sent last."""
    return stage.world.control("/control/unionpay/messages")[-1]["code"]


async def issue_receipt(stage: Any, order_no: str) -> None:
    """Have the simulated platform of electronic receipts issue the receipt of a paid order."""
    parts = assemble(stage.settings)
    try:
        async with Outbound() as outbound:
            issuer = FinancePlatform(
                outbound, base_url=f"{stage.world.url}/receipts", app_id=APP_ID, secret_hex=Secret(SECRET_HEX)
            )
            await receipts.ask(parts.db, parts.vault, issuer, {"order_no": order_no}, now=clock.now())
    finally:
        await parts.close()
