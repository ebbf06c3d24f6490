"""A small province for the pages' tests: hospitals, operators, residents, two days of codes, orders and differences.

Everything is made up and drawn from one seed. Loaded by the conftests of ``tests/web`` and ``tests/browser``.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, update

from yimatong.access import callers, operators, sessions
from yimatong.access.caller import Caller
from yimatong.access.callers import Institution
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.schemas import Registration
from yimatong.cards.models import account, code_record
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit import audit, clock, outbox
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.masking import Secret
from yimatong.kit.models import outbox as outbox_table
from yimatong.kit.settings import Settings
from yimatong.payments import accounts as merchants
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.desk import Desk
from yimatong.payments.models import order
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item
from yimatong.payments.orders.service import Demand
from yimatong.reconciliation.models import discrepancy, run
from yimatong.sandbox.local import LocalWorld
from yimatong.standards import id_number

PASSWORD = "Correct-Horse-7"
HOSPITAL, VILLAGE = "inst-h1", "inst-v1"
LONG_NAME = "陕西省咸阳市三原县大程镇荆家社区卫生服务中心附属东周村第二卫生室（演示）"
RECORDS = 12_000
_RESULTS = ["ok"] * 88 + ["CRD-2003"] * 5 + ["CRD-2004"] * 3 + ["CRD-2002"] * 2 + ["CRD-2007", "CRD-2001"]
_DAY = [1, 0, 0, 1, 1, 2, 5, 22, 60, 74, 66, 48, 20, 26, 58, 55, 40, 26, 10, 6, 4, 3, 2, 1]
_THINGS = ["门诊缴费", "挂号费", "检查费：腹部彩超（肝胆胰脾）及心电图", "住院预交金"]
_STATES = ["paid", "paid", "paid", "partly_refunded", "refunded", "created", "closed"]
APP = Caller(caller_id="app-1", kind="app", name="健康三秦", institution_id=None)


class Stage:
    """The province, and the verbs by which tests act in it."""

    def __init__(self, settings: Settings, world: LocalWorld) -> None:
        self.settings = settings
        self.world = world
        self.vuids: dict[str, str] = {}
        self.now = clock.now()
        self.today = business_date(self.now)
        self.yesterday = self.today - timedelta(days=1)

    async def act(self, verb: Any) -> Any:
        """Run ``verb(connection, parts)`` in one transaction of its own."""
        parts = assemble(self.settings)
        try:
            async with parts.db.transaction() as connection:
                return await verb(connection, parts)
        finally:
            await parts.close()

    async def link(self, purpose: str, subject: str) -> str:
        return await self.act(
            lambda tx, _: sessions.make_link(tx, subject=subject, purpose=purpose, lifetime_s=300, now=clock.now())
        )

    async def bill(
        self, *, fen: int = 12_850, description: str = "门诊缴费", items: list[Item] | None = None, **more: Any
    ) -> str:
        """Place an order at the hospital and return its number; ``more`` of a ``Demand``."""
        lines = items or [Item(name="诊察费", amount_fen=1500), Item(name="血常规", amount_fen=fen - 1500, quantity=1)]
        facts: dict[str, Any] = {
            "institution_id": HOSPITAL, "caller_id": "his-1", "source_kind": "direct",
            "source_id": f"B{random.getrandbits(60):X}", "description": description, "items": lines,
            "amount_fen": sum(item.amount_fen for item in lines),
        }  # fmt: skip
        demand = Demand(**(facts | more))
        placed = await self.act(
            lambda tx, parts: orders.create(tx, demand, desk=desk_of(parts, self.settings), now=clock.now())
        )
        return placed.order_no

    async def pay(self, order_no: str) -> None:
        """Let the simulated payer pay the order's newest attempt, and the platform ask for it."""
        from yimatong.payments.cashier import service

        self.world.control("/control/wechat/pay", {"out_trade_no": f"{order_no}A01"})
        parts = assemble(self.settings)
        try:
            await service.refresh(desk_of(parts, self.settings), order_no, now=clock.now())
        finally:
            await parts.close()

    async def set_order(self, order_no: str, **values: object) -> None:
        await self.act(lambda tx, _: tx.execute(update(order).where(order.c.order_no == order_no).values(**values)))

    async def use_code(self, vuid: str, *, result: str = "ok") -> None:
        row = {
            "vuid": vuid, "record_id": f"rec_{clock.now().timestamp():.6f}", "at": clock.now(), "event": "verified",
            "code_kind": "dynamic", "purpose": "visit", "result": result, "caller_id": "term-1",
            "institution_id": HOSPITAL, "front_id": None, "request_id": "req_test",
        }  # fmt: skip
        await self.act(lambda tx, _: tx.execute(insert(code_record).values(row)))

    async def build(self) -> None:
        """Fill the empty database."""
        await self.act(self._people)
        await self.act(self._residents)
        await self.act(self._records)
        await self.act(self._money)
        await self.act(self._differences)
        await self.act(self._news)

    async def _people(self, tx: Any, parts: Parts) -> None:
        for institution_id, name, org in (
            (HOSPITAL, "西安市第一人民医院（演示）", "435628013"),
            (VILLAGE, LONG_NAME, "43562802X"),
        ):
            await callers.add_institution(
                tx,
                Institution(
                    institution_id=institution_id, name=name, kind="hospital", org_code=org, region_code="610100"
                ),
                now=self.now,
            )
        for caller_id, kind, name, own in (
            ("his-1", "institution", "医院信息系统", HOSPITAL),
            ("term-1", "terminal", "门诊一楼自助机 01", HOSPITAL),
            ("term-2", "terminal", "村卫生室扫码枪", VILLAGE),
            ("app-1", "app", "健康三秦 APP", None),
        ):
            await callers.enrol(
                tx, parts.vault, caller_id=caller_id, kind=kind, name=name, institution_id=own,
                secret=bytes(32), now=self.now,
            )  # fmt: skip
        for login, name, roles, own in (
            ("clerk", "王敏", {"card_clerk", "finance"}, None),
            ("hospital", "李会计", {"finance", "card_clerk"}, HOSPITAL),
            ("auditor", "赵审计", {"audit_admin"}, None),
            ("system", "钱系统", {"system_admin"}, None),
            ("security", "孙安全", {"security_admin"}, None),
            ("custodian1", "密钥保管人 买买提江·阿不都热合曼·吾守尔", {"key_custodian"}, None),
            ("custodian2", "密钥保管人 郑华", {"key_custodian"}, None),
            ("steward", "孙主管", {"steward"}, None),
            ("steward2", "周复核", {"steward"}, None),
            ("reviewer", "吴审核", {"reviewer"}, None),
            ("hospital-steward", "郑科员", {"steward"}, HOSPITAL),
            ("locked", "被锁定", {"steward"}, None),
        ):
            await operators.add(
                tx, login=login, name=name, roles=frozenset(roles), password=PASSWORD, institution_id=own, now=self.now
            )

    async def _residents(self, tx: Any, parts: Parts) -> None:
        for key, name, sequence in (
            ("zhang", "张三丰", "011"),
            ("long", "买买提江·阿不都热合曼·吾守尔·托合提", "013"),
            ("frozen", "冯冻结", "015"),
        ):
            first17 = f"61010219800102{sequence}"
            facts = Demographics(
                name=name, sex="1", birth_date=date(1980, 1, 2), id_type="01",
                id_number=first17 + id_number.check_digit(first17), phone="13800138000",
            )  # fmt: skip
            wanted = Registration(resident=facts, real_name="stated")
            prepared = await registration.prepare(
                parts.db,
                parts.vault,
                wanted,
                caller=APP,
                real_name=None,
                now=self.now,  # type: ignore[arg-type]
            )
            done = await registration.register(tx, parts.vault, prepared, caller=APP, now=self.now)
            self.vuids[key] = done.vuid
        await tx.execute(update(account).where(account.c.vuid == self.vuids["frozen"]).values(state="frozen"))

    async def _records(self, tx: Any, _parts: Parts) -> None:
        draw = random.Random(7)
        rows = []
        for number in range(RECORDS):
            start, _ = day_bounds(self.yesterday if number % 4 else self.today)
            span_s = 86_400 if number % 4 else max(int((self.now - start).total_seconds()), 1)
            hour = draw.choices(range(24), _DAY)[0]
            at = start + timedelta(seconds=(hour * 3600 + draw.random() * 3600) * span_s / 86_400)
            event = "issued" if number % 5 < 2 else "verified"
            own = draw.choice([HOSPITAL, HOSPITAL, VILLAGE])
            rows.append(
                {
                    "vuid": f"{number:064X}", "record_id": f"rec_{number:026d}", "at": at, "event": event,
                    "code_kind": draw.choice(["dynamic", "dynamic", "static"]),
                    "purpose": draw.choice(["visit", "visit", "register", "records", "payment"]),
                    "result": "ok" if event == "issued" else draw.choice(_RESULTS),
                    "caller_id": {HOSPITAL: "term-1", VILLAGE: "term-2"}[own], "institution_id": own,
                    "front_id": None, "request_id": f"req_{number}",
                }
            )  # fmt: skip
        await tx.execute(insert(code_record), rows)

    async def _money(self, tx: Any, parts: Parts) -> None:
        enrolled = self.world.enrol(mchid="1900000109", appid="wx0000000000000001", name="西安市第一人民医院")
        names = ("private_key_pem", "serial_no", "api_v3_key", "platform_key_id", "platform_public_key_pem")
        await merchants.put_account(
            tx,
            parts.vault,
            ChannelAccount(
                account_id="acc-h1", institution_id=HOSPITAL, channel="wechat", merchant_id=enrolled.mchid,
                app_id=enrolled.appid, secrets={name: Secret(getattr(enrolled, name)) for name in names},
            ),
            now=self.now,
        )  # fmt: skip
        draw = random.Random(11)
        rows = []
        for number in range(180):
            day = self.yesterday if number % 3 else self.today
            start, _ = day_bounds(day)
            span_s = 80_000 if number % 3 else max((self.now - start).total_seconds() - 60, 1)
            at = start + timedelta(seconds=draw.random() * span_s)
            fen = 9_999_999_999 if number == 1 else draw.randrange(500, 90_000)
            state = (
                "paid"
                if number == 1
                else draw.choice(["paid", "paid", "paid", "partly_refunded", "refunded", "created", "closed"])
            )
            paid = state in {"paid", "partly_refunded", "refunded"}
            back = {"refunded": fen, "partly_refunded": fen // 3}.get(state, 0)
            rows.append(
                {
                    "order_no": f"P{day:%Y%m%d}{number:012d}", "institution_id": HOSPITAL if number % 4 else VILLAGE,
                    "caller_id": "his-1", "source_kind": "direct", "source_id": f"S{number}", "vuid": None,
                    "description": draw.choice(_THINGS),
                    "items": [{"name": "合计", "amount_fen": fen, "quantity": 1}], "amount_fen": fen, "cash_fen": fen,
                    "state": state,
                    "expires_at": at + timedelta(minutes=30), "paid_fen": fen if paid else 0,
                    "refund_reserved_fen": back, "refunded_fen": back, "paid_attempt_no": None,
                    "paid_channel": draw.choice(["wechat", "wechat", "wechat", "alipay", "unionpay"]) if paid else None,
                    "channel_trade_no": f"42000{number:023d}" if paid else None,
                    "paid_at": at + timedelta(seconds=30) if paid else None,
                    "closed_at": at if state == "closed" else None, "created_at": at, "updated_at": at,
                    "close_at": at + timedelta(days=3650),
                }
            )  # fmt: skip
        await tx.execute(insert(order), rows)

    async def _differences(self, tx: Any, _parts: Parts) -> None:
        tallies = [
            {"klass": klass, "kind": "payment", "platform_rows": n, "platform_fen": n * 100, "bill_rows": n,
             "bill_fen": n * 100}
            for klass, n in (("matched", 1284), ("cross_day", 3), ("amount", 1), ("channel_only", 1))
        ]  # fmt: skip
        for day, state, cause in (
            (self.yesterday, "done", ""),
            (self.yesterday - timedelta(days=1), "failed", "PAY-3004"),
        ):
            await tx.execute(
                insert(run).values(
                    channel="wechat", account_id="acc-h1", bill_date=day, institution_id=HOSPITAL, version=1,
                    state=state, cause=cause, tallies=tallies if state == "done" else [], started_at=self.now,
                    finished_at=self.now,
                )
            )  # fmt: skip
        for number, (kind, ours, theirs, own) in enumerate(
            (
                ("amount", 12_850, 12_580, HOSPITAL), ("channel_only", None, 5_000, HOSPITAL),
                ("platform_only", 9_999_999_999, None, HOSPITAL), ("status", 300, 300, HOSPITAL),
                ("fee", 88_800, 88_800, HOSPITAL), ("duplicate", None, 700, VILLAGE),
            )
        ):  # fmt: skip
            await tx.execute(
                insert(discrepancy).values(
                    discrepancy_id=f"dis_{number}", channel="wechat", account_id="acc-h1", institution_id=own,
                    kind=kind, movement="payment", number=f"P{self.yesterday:%Y%m%d}{number:012d}A01",
                    bill_date=self.yesterday, state="verified" if kind == "fee" else "open",
                    difference_fen=(theirs or 0) - (ours or 0), platform_fen=ours, bill_fen=theirs,
                    platform_state=None if ours is None else "succeeded",
                    bill_state=None if theirs is None else "refunded" if kind == "status" else "succeeded",
                    bill_fee=Decimal("0.77000") if theirs else None, opened_at=self.now, updated_at=self.now,
                )
            )  # fmt: skip

    async def _news(self, tx: Any, _parts: Parts) -> None:
        for number in range(9):
            await outbox.write(tx, topic="test", ordering_key=str(number), payload={}, now=self.now)
        await tx.execute(update(outbox_table).where(outbox_table.c.id <= 6).values(state="delivered"))
        await tx.execute(update(outbox_table).where(outbox_table.c.id == 7).values(state="parked"))
        for number in range(60):
            await audit.record(
                tx, actor="his-1" if number % 2 else "term-1", action="codes:verify", object_kind="route",
                object_id="/api/v1/codes/verify", request_id=f"req_{number:026d}",
                now=datetime.now(UTC), result="ok" if number % 9 else "CRD-2003", institution_id=HOSPITAL,
            )  # fmt: skip


def desk_of(parts: Parts, settings: Settings) -> Desk:
    return Desk(
        db=parts.db,
        vault=parts.vault,
        channels=parts.channels,
        notify_base=settings.addresses.core,
        web_base=settings.addresses.web,
    )
