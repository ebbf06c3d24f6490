"""Demonstration data: a province with two hospitals, their systems, terminals and fronts, an app, operators, residents.

Loaded once into a new database, before any process runs, through the rooms' own verbs. The callers' keys are drawn and
written to ``demonstration.json`` beside the data (mode 0600), where ``ymt demo`` finds them. Refused in production.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from yimatong.access import callers, operators
from yimatong.access.caller import Caller
from yimatong.access.callers import Institution
from yimatong.apps import (
    demonstration_alipay,
    demonstration_index,
    demonstration_insurance,
    demonstration_payers,
    demonstration_services,
    demonstration_unionpay,
    parties,
)
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.schemas import Registration
from yimatong.empi.persons.schemas import Demographics
from yimatong.empi.registration.service import Provider
from yimatong.kit import clock
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Settings, SettingsInvalid
from yimatong.kit.settings import load as read_settings
from yimatong.payments import accounts as merchants
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.app import World
from yimatong.sandbox.his import Hospital
from yimatong.sandbox.local import merchant_keys
from yimatong.standards.id_number import check_digit

PASSWORD: Final = "Yimatong-2026"  # noqa: S105 -- a demonstration login, printed by ``ymt up`` and refused in production

HOSPITALS: Final = (
    Institution(
        institution_id="610000-001",
        name="示范省人民医院",
        kind="hospital",
        org_code="43562801-3",
        region_code="610102",
    ),
    Institution(
        institution_id="610000-002",
        name="示范市中医医院（东院区）暨市康复医学中心",
        kind="hospital",
        org_code="43562802-1",
        region_code="610303",
    ),
)

APP: Final = "app-health-demo"
HIS: Final = "his-610000-001"
TERMINAL: Final = "terminal-610000-001-w01"
OTHER_HIS: Final = "his-610000-002"
OTHER_TERMINAL: Final = "terminal-610000-002-w01"

OPERATORS: Final = (
    ("finance", "财务 刘敏", {"finance"}, "610000-001"),
    ("cards", "卡务 陈静", {"card_clerk"}, None),
    ("system", "系统管理员 赵磊", {"system_admin"}, None),
    ("security", "安全管理员 孙丽", {"security_admin"}, None),
    ("audit", "审计管理员 周强", {"audit_admin"}, None),
    ("custodian1", "密钥保管人 钱伟", {"key_custodian"}, None),
    ("custodian2", "密钥保管人 郑华", {"key_custodian"}, None),
    ("custodian3", "密钥保管人 冯玉", {"key_custodian"}, None),
    ("director", "平台主任 王建国", {"card_clerk", "finance", "steward"}, None),
    ("steward", "主索引管理员 何静", {"steward"}, None),
    ("steward1", "示范省人民医院 数据管理员 马超", {"steward"}, "610000-001"),
)

LOGINS: Final = [("web", name, login, PASSWORD) for login, name, _roles, _institution in OPERATORS]

FIRST_STEPS: Final = [
    "另开终端运行 .venv/bin/ymt demo：走完建卡、亮码、就诊、支付、对账全流程 / run the whole story in another terminal",
    "打开 {web}/console 用 director 登录，看今日数据 / log in to the console as director",
]

RESIDENTS: Final = (
    ("张三丰", "1", "19490101", "001"),
    ("李秀英", "2", "19650312", "024"),
    ("王芳", "2", "19880808", "046"),
    ("阿卜杜拉·买买提", "1", "19750630", "033"),
    ("𠮷田大力", "1", "19920229", "017"),
    ("欧阳娜娜", "2", "20010915", "082"),
)


async def load(settings: Settings) -> None:
    """Load everything in one go.

    Raises:
        SettingsInvalid: production mode.
    """
    if settings.production:
        raise SettingsInvalid(detail="演示数据不得装入生产环境 (no demonstration data in production)")
    keys = _draw_keys(settings)
    parts = assemble(settings)
    now = clock.now()
    try:
        async with parts.db.transaction() as connection:
            await _enrol(connection, parts, keys, now=now)
            for login, name, roles, institution_id in OPERATORS:
                await operators.add(
                    connection,
                    login=login,
                    name=name,
                    roles=frozenset(roles),
                    password=PASSWORD,
                    institution_id=institution_id,
                    now=now,
                )
            for account in await _open_outside_world(settings, keys):
                await merchants.put_account(connection, parts.vault, account, now=now)
            keys |= await demonstration_services.load(connection, parts, HOSPITALS[0], his=HIS, app=APP, now=now)
        for resident in RESIDENTS:
            await _register(parts, resident, now=now)
        await demonstration_index.load(parts, first=_provider(0, HIS), second=_provider(1, OTHER_HIS), now=now)
    finally:
        await parts.close()
    _write_private(keys_path(settings), keys)


def _provider(hospital: int, caller_id: str) -> Provider:
    return Provider(caller_id=caller_id, institution_id=HOSPITALS[hospital].institution_id, refuses=False)


async def renew(settings: Settings) -> None:
    """Tell the database where the simulated hospital systems are now; ports may have moved since the last start."""
    parts = assemble(settings)
    try:
        async with parts.db.transaction() as connection:
            for hospital, his in ((HOSPITALS[0], HIS), (HOSPITALS[1], OTHER_HIS)):
                await callers.set_webhook(connection, his, url=_webhook_url(settings, hospital))
            await demonstration_services.renew(connection, parts, app=APP, now=clock.now())
            await demonstration_payers.renew(connection, parts.vault, settings, HOSPITALS[0], now=clock.now())
    finally:
        await parts.close()


def keys_path(settings: Settings) -> Path:
    """Return the file with the demonstration callers' keys."""
    return settings.data / "demonstration.json"


def _draw_keys(settings: Settings) -> dict[str, str]:
    drawn = {name: secrets.token_hex(32) for name in (APP, HIS, TERMINAL, OTHER_HIS, OTHER_TERMINAL)}
    for front in ("institution", "internet"):
        path = settings.data / f"settings.{front}-front.toml"
        if path.exists():
            own = read_settings(path)
            drawn[own.front_id] = own.front_secret
    return drawn


async def _enrol(connection: Connection, parts: Parts, keys: dict[str, str], *, now: datetime) -> None:
    for hospital in HOSPITALS:
        await callers.add_institution(connection, hospital, now=now)
    first, second = HOSPITALS
    enrolled: list[tuple[str, str, str, Institution | None, dict[str, Any]]] = [
        (APP, "app", "健康示范 APP", None, {}),
        (HIS, "institution", first.name, first, {"webhook_url": _webhook_url(parts.settings, first)}),
        (TERMINAL, "terminal", "挂号一号窗识读终端", first, {"through_front": True}),
        (OTHER_HIS, "institution", second.name, second, {"webhook_url": _webhook_url(parts.settings, second)}),
        (OTHER_TERMINAL, "terminal", "自助机 A01", second, {}),
    ]
    if "front-institution" in keys:
        enrolled.append(("front-institution", "front", "示范省人民医院前置机", first, {}))
    if "front-internet" in keys:
        enrolled.append(("front-internet", "front", "互联网区前置机", None, {}))
    for caller_id, kind, name, institution, options in enrolled:
        await callers.enrol(
            connection,
            parts.vault,
            caller_id=caller_id,
            kind=kind,
            name=name,
            institution_id=institution.institution_id if institution else None,
            secret=bytes.fromhex(keys[caller_id]),
            now=now,
            **options,
        )


async def _open_outside_world(settings: Settings, keys: dict[str, str]) -> list[ChannelAccount]:
    """Register the hospitals at the simulated WeChat Pay and start their simulated systems; return the merchants."""
    world = World(settings.data / "sandbox")
    try:
        accounts_made = []
        for number, (hospital, his) in enumerate(((HOSPITALS[0], HIS), (HOSPITALS[1], OTHER_HIS)), start=1):
            merchant, private_key_pem = merchant_keys(
                mchid=f"19000{number:05d}", appid=f"wxd678efh567hg{number:04d}", name=hospital.name
            )
            world.wechat.register(merchant)
            world.his.hospitals.put(hospital.institution_id, Hospital(caller_id=his, secret_hex=keys[his]))
            accounts_made.append(
                ChannelAccount(
                    account_id=f"wechat-{hospital.institution_id}",
                    institution_id=hospital.institution_id,
                    channel="wechat",
                    merchant_id=merchant.mchid,
                    app_id=merchant.appid,
                    secrets={
                        "private_key_pem": Secret(private_key_pem),
                        "serial_no": Secret(merchant.serial_no),
                        "api_v3_key": Secret(merchant.api_v3_key),
                        "platform_key_id": Secret(world.wechat.key.key_id),
                        "platform_public_key_pem": Secret(world.wechat.key.public_pem),
                    },
                )
            )
            accounts_made.append(demonstration_alipay.account(world, hospital, number))
        accounts_made.append(demonstration_unionpay.account(world, HOSPITALS[0]))
        accounts_made += demonstration_payers.enrol(world, settings, HOSPITALS[0])
        accounts_made += demonstration_insurance.enrol(world, settings, HOSPITALS[0])
        await world.store.flush()
        return accounts_made
    finally:
        world.store.close()


def resident_of(name: str, sex: str, born: str, sequence: str, *, phone: str = "13800138000") -> Demographics:
    """Return a made-up resident with a valid identity number."""
    first17 = f"610102{born}{sequence}"
    return Demographics(
        name=name,
        sex=sex,
        birth_date=datetime.strptime(born, "%Y%m%d").date(),  # noqa: DTZ007 -- a calendar day has no zone
        id_type="01",
        id_number=first17 + check_digit(first17),
        phone=phone,
        address="陕西省西安市新城区示范路 1 号",
    )


async def _register(parts: Parts, resident: tuple[str, str, str, str], *, now: datetime) -> None:
    """Register a resident as the hospital's window does, by reading her certificate."""
    caller = Caller(caller_id=HIS, kind="institution", name=HIS, institution_id=HOSPITALS[0].institution_id)
    wanted = Registration(resident=resident_of(*resident), real_name="certificate_read")
    check = parties.real_name(parts.outbound, parts.settings)
    prepared = await registration.prepare(parts.db, parts.vault, wanted, caller=caller, real_name=check, now=now)
    async with parts.db.transaction() as connection:
        await registration.register(connection, parts.vault, prepared, caller=caller, now=now)


def _webhook_url(settings: Settings, hospital: Institution) -> str:
    return f"{settings.addresses.sandbox}/his/{hospital.institution_id}/notifications"


def _write_private(path: Path, keys: dict[str, str]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(keys, file, indent=2)
