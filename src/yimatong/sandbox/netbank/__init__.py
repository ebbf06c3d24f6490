"""Simulated banks with a B2C net bank, written from ICBC's handbook of ICBC_PERBANK_B2C 1.0.0.11.

``icbc`` takes GBK, whole fen and orders up to an hour old; ``generic`` takes UTF-8, yuan and an expiry. ``forms`` is
signing and XML, ``books`` what the banks remember, ``wire`` what merchants and payers call, ``notify`` the notices,
``control`` the port by which tests make them misbehave.
"""
