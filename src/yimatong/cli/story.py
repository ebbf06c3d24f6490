"""The story that ``ymt demo`` tells, step by step, as outside parties see it: over HTTP and through the Python SDK.

An app, a hospital's system, its reading terminal, the resident's own browser and the control port of the simulated
outside world; nothing here touches the database. Each step returns what a listener wants to hear; a step that does not
come true raises ``StoryFailed``. Every write has a fixed idempotency key, so a step may be told again after a crash.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import date
from typing import Any, Final

import httpx

from yimatong.apps import demonstration
from yimatong.cli.errors import StoryFailed
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit.clock import business_date, now
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

_FAMILY: Final = "王李张刘陈杨赵黄周吴欧阳司马"
_GIVEN: Final = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚"
_PHONE: Final = "Mozilla/5.0 (Linux; Android 15; Mobile) demo"
_TOKEN: Final = re.compile(r'name="form_token" value="([^"]+)"')
_JUMP: Final = re.compile(r'href="([^"]+)" id="jump"')


class Cast:
    """Everybody who plays: clients of the platform with their own keys, and the way to the simulated world."""

    def __init__(self, settings: Settings, *, retries: int = 4) -> None:
        """Read the demonstration callers' keys.

        Raises:
            StoryFailed: this installation has no demonstration data.
        """
        path = demonstration.keys_path(settings)
        if not path.exists():
            raise StoryFailed(step="演示数据", detail="没有演示数据，请先运行 make up (run make up first)")
        self._keys: dict[str, str] = json.loads(path.read_text())
        self._retries = retries
        self.addresses = settings.addresses
        self.app = self._client(settings.addresses.internet_front, demonstration.APP)
        self.his = self._client(settings.addresses.core, demonstration.HIS)
        self.terminal = self._client(settings.addresses.institution_front, demonstration.TERMINAL)
        self.other_his = self._client(settings.addresses.core, demonstration.OTHER_HIS)
        self.hospital = demonstration.HOSPITALS[0]
        self._control = httpx.Client(base_url=settings.addresses.sandbox_control, trust_env=False, timeout=30)

    def _client(self, address: str, caller_id: str) -> Client:
        return Client(address, caller_id=caller_id, secret_hex=self._keys[caller_id], retries=self._retries)

    def close(self) -> None:
        """Close every connection."""
        for client in (self.app, self.his, self.terminal, self.other_his):
            client.close()
        self._control.close()

    def control(self, path: str, body: object = None) -> Any:
        """Call the control port of the simulated world."""
        reply = self._control.request("GET" if body is None else "POST", path, json=body)
        reply.raise_for_status()
        return reply.json()

    def browser(self) -> httpx.Client:
        """Return a phone's browser with its own cookies."""
        return httpx.Client(
            base_url=self.addresses.web,
            trust_env=False,
            follow_redirects=True,
            timeout=15,
            headers={"user-agent": _PHONE, "accept-language": "zh-CN"},
        )


def new_resident() -> Demographics:
    """Return a made-up resident whom nobody has met yet."""
    name = secrets.choice(_FAMILY) + secrets.choice(_GIVEN) + secrets.choice(_GIVEN)
    born = f"{1940 + secrets.randbelow(75)}{1 + secrets.randbelow(12):02d}{1 + secrets.randbelow(28):02d}"
    sequence = secrets.randbelow(1000)
    return demonstration.resident_of(
        name,
        "1" if sequence % 2 else "2",
        born,
        f"{sequence:03d}",
        phone=f"139{secrets.randbelow(10**8):08d}",
    )


def facts(resident: Demographics) -> dict[str, str]:
    """Return a resident as the API takes her."""
    return {
        "name": resident.name,
        "sex": resident.sex,
        "birth_date": resident.birth_date.isoformat(),
        "id_type": resident.id_type,
        "id_number": resident.id_number,
        "phone": resident.phone,
        "address": resident.address,
    }


def expect(code: str, step: str, act: Callable[[], object]) -> str:
    """Do something that must be refused with ``code``; return the refusal's text.

    Raises:
        StoryFailed: it was accepted, or refused otherwise.
    """
    try:
        act()
    except ApiError as error:
        if error.code == code:
            return f"{error.code} {error.detail}"
        raise StoryFailed(step=step, detail=str(error)) from error
    raise StoryFailed(step=step, detail=f"应被拒绝 {code} 却被接受 (should have been refused)")


def within(seconds: float, step: str, look: Callable[[], Any]) -> Any:
    """Look again and again until something true comes back; return it.

    Raises:
        StoryFailed: nothing came within ``seconds``.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise StoryFailed(step=step, detail=f"{seconds:.0f} 秒内没有等到 (not within {seconds:.0f} s)")


def register_visit_and_bill(cast: Cast, vuid: str, *, number: str, total_fen: int) -> Any:
    """Let the resident show a code at the window, register the visit and ask for payment; return the placed bill."""
    code = cast.app.issue_code(vuid, code_class="visit", idempotency_key=f"code-{number}")
    seen = cast.terminal.verify_code(
        code["text"], purpose="visit", med_step="010101", idempotency_key=f"verify-{number}"
    )
    visit = {
        "visit_no": f"V{number}",
        "verification_id": seen["record_id"],
        "vuid": vuid,
        "department": "呼吸与危重症医学科",
        "doctor": "李建国",
    }
    cast.his.register_visit(visit, idempotency_key=f"visit-{number}")
    items = [
        {"name": "专家门诊诊察费", "amount_fen": 5000},
        {"name": "胸部 CT 平扫", "amount_fen": total_fen - 5000},
    ]
    bill = {
        "visit_no": f"V{number}",
        "bill_no": f"B{number}",
        "description": "门诊缴费",
        "items": items,
        "total_fen": total_fen,
    }
    return cast.his.create_bill(bill, idempotency_key=f"bill-{number}")


def pay_at_cashier(cast: Cast, cashier_url: str) -> str:
    """Open the cashier on a phone, jump to WeChat Pay, pay there, come back; return the page shown last."""
    with cast.browser() as browser:
        page = _good("收银台", browser.get(cashier_url))
        form = {"form_token": _found(_TOKEN, page, "收银台"), "channel": "wechat", "scene": "h5"}
        page = _good("选择微信支付", browser.post("/cashier/pay", data=form))
        jump = _found(_JUMP, page, "跳转微信支付").replace("&amp;", "&")
        _good("微信支付页", browser.get(jump))
        token = httpx.URL(jump).params["prepay_id"]
        decided = {"decision": "pay", "redirect_url": f"{cast.addresses.web}/cashier"}
        return _good("微信支付", browser.post(f"{cast.addresses.sandbox}/pay/{token}", data=decided))


def wait_state(cast: Cast, order_no: str, *states: str, seconds: float = 30) -> Any:
    """Wait until an order is in one of ``states`` and return it."""
    return within(seconds, f"订单 {order_no}", lambda: _if_in(cast.his.read_order(order_no), states))


def wait_refund(cast: Cast, refund_no: str, *, seconds: float = 30) -> Any:
    """Wait until a refund has arrived and return it."""
    return within(seconds, f"退款 {refund_no}", lambda: _if_in(cast.his.read_refund(refund_no), ("succeeded",)))


def booked(cast: Cast, order_no: str, topic: str) -> list[Any]:
    """Return what the hospital's system has booked of an order."""
    rows = cast.control(f"/control/his/{cast.hospital.institution_id}/booked")
    return [row for row in rows if row["event"].get("order_no") == order_no and row["event"].get("event") == topic]


def set_his(cast: Cast, state: str) -> None:
    """Switch the simulated hospital system ``up`` or ``down``."""
    cast.control(f"/control/his/{cast.hospital.institution_id}/behaviour", {"state": state})


def close_business_day(cast: Cast, day: date, *, seed: int) -> Any:
    """Let the simulated WeChat Pay close its business day, with one difference of each kind planted by ``seed``."""
    return cast.control("/control/wechat/close-day", {"date": day.isoformat(), "seed": seed})


def today() -> date:
    """Return the business day in Beijing."""
    return business_date(now())


def _if_in(found: Any, states: tuple[str, ...]) -> Any:
    return found if found["state"] in states else None


def _good(step: str, reply: httpx.Response) -> str:
    if reply.is_error:
        raise StoryFailed(step=step, detail=f"HTTP {reply.status_code} {reply.text[:200]}")
    return reply.text


def _found(pattern: re.Pattern[str], page: str, step: str) -> str:
    found = pattern.search(page)
    if found is None:
        raise StoryFailed(step=step, detail="页面上没有该有的内容 (the page lacks what it should have)")
    return found[1]
