"""A bound card at the simulated bank, and merchants of its quick payment; the binding goes over the bank's own wire."""

from __future__ import annotations

import secrets

import httpx

from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.signed import APP_ID, SECRET_HEX


def merchant_of(world, merchant_id: str, *, institution_id: str = "", account_id: str = "") -> ChannelAccount:
    """Enrol a merchant with a secret of its own."""
    secret_hex = secrets.token_hex(32)
    facts = {"merchant_id": merchant_id, "app_id": f"app-{merchant_id}", "secret_hex": secret_hex}
    world.control("/control/quickpay/merchants", facts)
    return ChannelAccount(
        account_id=account_id or f"quickpay-{merchant_id}",
        institution_id=institution_id or merchant_id,
        channel="quickpay",
        merchant_id=merchant_id,
        app_id=f"app-{merchant_id}",
        secrets={"secret_hex": Secret(secret_hex)},
    )


def bind(world, ended: str = "") -> str:
    """Bind a new card and return the agreement's number; or end the agreement of a number."""
    messages = world.control("/control/bank/messages")
    if ended:
        request_no = next(each["request_no"] for each in messages if each["agreement_no"] == ended)
        call(world, "end", {"request_no": request_no})
        return ended
    request_no = f"bkc_{secrets.token_hex(16)}"
    person = {"name": "王芳", "id_type": "01", "id_number": "610102198808080460", "phone": "13800138000"}
    card_number = f"62220217{secrets.randbelow(10**11):011d}"
    call(world, "apply", person | {"request_no": request_no, "card_number": card_number})
    messages = world.control("/control/bank/messages")
    code = next(each["secret"] for each in messages if each["request_no"] == request_no)
    agreed = call(world, "confirm", {"request_no": request_no, "code": code})
    return str(agreed["agreement_no"])


def call(world, verb: str, body: dict[str, object]) -> dict[str, object]:
    """Say something to the bank's agreements as the platform says it."""
    path, timestamp, nonce = f"/bank/agreements/{verb}", str(int(clock.now().timestamp())), secrets.token_hex(16)
    request = httpx.Request("POST", world.url + path, json=body)
    signed = f"POST\n{path}\n{timestamp}\n{nonce}\n".encode() + request.content
    request.headers.update(
        {
            "X-App-Id": APP_ID,
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Sign": HmacSm3(bytes.fromhex(SECRET_HEX)).digest(signed).hex(),
        }
    )
    with httpx.Client(trust_env=False) as client:
        answer = client.send(request)
    answer.raise_for_status()
    found: dict[str, object] = answer.json()
    return found
