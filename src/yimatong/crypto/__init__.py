"""Cryptography as a library: SM2, SM3, SM4, the crypto device (密码机) and everything derived from its keys.

No HTTP, no SQL. Rooms above use :class:`yimatong.crypto.vault.Vault`.
"""
