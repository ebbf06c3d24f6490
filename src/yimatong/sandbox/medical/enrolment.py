"""Keys for a hospital at the simulated insurance: for the demonstration, tests and drills."""

from __future__ import annotations

import secrets

from yimatong.crypto.gm import sm2
from yimatong.sandbox.medical.rows import Institution


def institution_keys(*, fixmedins_code: str, name: str = "模拟医院", notify_url: str = "") -> tuple[Institution, str]:
    """Draw a hospital's keys; return what the insurance registers, and the private key (hexadecimal) that it keeps."""
    private, public = sm2.generate_keypair()
    made = Institution(
        fixmedins_code=fixmedins_code,
        app_id=secrets.token_hex(16).upper(),
        app_secret=secrets.token_hex(16).upper(),
        public_key=public.hex(),
        notify_url=notify_url,
        name=name,
    )
    return made, private.hex()
