"""WeChat Pay, API v3, as a merchant meets it (pay.weixin.qq.com, direct merchants).

``state`` keeps the books, ``medical`` those of mixed orders; ``edge`` verifies and signs every call, ``wire``,
``payment_codes`` and ``medical_wire`` answer merchants; ``signers`` and ``certs`` hold the platform's keys; ``pages``
meets the payer, ``notify`` sends notices, ``bill`` and ``funds`` write a day's bills, ``control`` is the port by which
tests make it misbehave.
"""
