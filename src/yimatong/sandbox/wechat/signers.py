"""Which of the platform's keys signs what: the public key, or one of the certificates.

Answers follow the request's ``Wechatpay-Serial``; notices are signed by the newest certificate in a share that the
conditions set (0 to 100 %), else by the public key, as in the days of the change (pay.weixin.qq.com, 微信支付公钥).
"""

from __future__ import annotations

import secrets
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm

from yimatong.sandbox.store import Store, Table
from yimatong.sandbox.wechat import certs
from yimatong.sandbox.wechat.keys import PlatformKey, Signer
from yimatong.sandbox.wechat.rows import CertificateRow, WireError

_WHOLE = 100


class Signers:
    """The platform's keys over one journal."""

    def __init__(self, store: Store) -> None:
        """Take up the keys where the journal left them; the certificate is made when it is first needed."""
        self._directory = store.directory
        self.public = PlatformKey(store.directory)
        self.certificates: Table[CertificateRow] = store.table("wechat.certificates", CertificateRow)
        self._made: dict[str, Signer] = {}

    def rotate(self, *, moment: datetime, days: float = certs.LIFE.days) -> CertificateRow:
        """Make a further certificate; the earlier ones count until their own end."""
        row = certs.make(self._directory, moment=moment, days=days)
        self.certificates.put(row.serial_no, row)
        return row

    def valid(self, *, moment: datetime) -> list[CertificateRow]:
        """Return the certificates that count at ``moment``, the newest last; the first is made here."""
        if not len(self.certificates):
            self.rotate(moment=moment)
        return [row for row in self.certificates if row.begins_at <= moment <= row.ends_at]

    def named(self, key_id: str) -> Signer:
        """Return the key that a request names; the public key for any other name."""
        return self._certificate(key_id) if self.certificates.get(key_id) is not None else self.public

    def for_notice(self, percent: float, *, moment: datetime) -> Signer:
        """Draw the key of a notice: the newest certificate in ``percent`` of the cases."""
        return self.public if secrets.randbelow(_WHOLE * 1000) >= percent * 1000 else self.for_list(moment=moment)

    def for_list(self, *, moment: datetime) -> Signer:
        """Return the newest certificate's key, which signs the list of certificates for who has no key yet."""
        valid = self.valid(moment=moment)
        return self._certificate(valid[-1].serial_no) if valid else self.public

    def opened(self, sealed: str, key_id: str) -> str:
        """Return a sealed identity field as plain text (敏感信息加解密).

        Raises:
            WireError: ``PARAM_ERROR`` for an unknown key, or when it does not open.
        """
        if key_id != self.public.key_id and self.certificates.get(key_id) is None:
            raise WireError(400, "PARAM_ERROR", "Wechatpay-Serial 对应的公钥或证书不存在")
        try:
            return self.named(key_id).unsealed(sealed)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise WireError(400, "PARAM_ERROR", "敏感信息解密失败") from error

    def _certificate(self, serial_no: str) -> Signer:
        if serial_no not in self._made:
            self._made[serial_no] = Signer(certs.private_key(self._directory, serial_no), serial_no)
        return self._made[serial_no]
