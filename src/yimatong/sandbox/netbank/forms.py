"""The banks' side of signed forms: reading a merchant's, writing and signing their own."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree  # type: ignore[import-untyped]  # the library has no types

from yimatong.crypto.pem import UNREADABLE
from yimatong.kit.money import AmountInvalid, parse_yuan, plain_yuan
from yimatong.sandbox.netbank.rows import BankRefusal, Merchant


class Bank(NamedTuple):
    """One bank's interface."""

    name: str
    title: str
    charset: str
    interface: tuple[str, str]
    currency: str
    in_yuan: bool

    def fen(self, text: str) -> int:
        """Return an amount in fen. Raises ``FORMAT_ERROR``."""
        try:
            found = parse_yuan(text) if self.in_yuan else int(text) if re.fullmatch("[0-9]{1,12}", text) else 0
        except AmountInvalid as error:
            raise BankRefusal(code="FORMAT_ERROR", message=str(error)) from error
        if found <= 0:
            raise BankRefusal(code="FORMAT_ERROR", message="the amount is not one")
        return found

    def written(self, amount_fen: int) -> str:
        """Return an amount as this bank writes it."""
        return plain_yuan(amount_fen) if self.in_yuan else str(amount_fen)


BANKS = {
    "icbc": Bank("icbc", "模拟工商银行", "GBK", ("ICBC_PERBANK_B2C", "1.0.0.11"), "001", in_yuan=False),
    "generic": Bank("generic", "模拟示范银行", "UTF-8", ("NETBANK_B2C", "1.0"), "CNY", in_yuan=True),
}


class BankKey:
    """The key pair with which the simulated banks sign."""

    def __init__(self, directory: Path) -> None:
        """Read ``netbank-key.pem``, or make it (mode 0600) at the first start."""
        path = directory / "netbank-key.pem"
        if not path.exists():
            fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            part = path.with_suffix(".part")
            pem = fresh.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(pem)
            part.replace(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            message = f"{path} is not an RSA key"
            raise TypeError(message)
        self._key = key
        self.public_pem = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def signed(self, document: bytes, *, broken: bool = False) -> dict[str, str]:
        """Return the two fields that carry a signed document; ``broken`` signs something else."""
        signature = self._key.sign(b"?" + document if broken else document, padding.PKCS1v15(), SHA256())
        return {"notifyData": base64.b64encode(document).decode(), "signMsg": base64.b64encode(signature).decode()}


def certified_key(mer_cert: str) -> rsa.RSAPublicKey:
    """Return the key in a merchant's certificate. Raises ``FORMAT_ERROR``."""
    try:
        key = x509.load_der_x509_certificate(base64.b64decode(mer_cert, validate=True)).public_key()
    except UNREADABLE as error:
        raise BankRefusal(code="FORMAT_ERROR", message="merCert is no certificate") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise BankRefusal(code="FORMAT_ERROR", message="merCert is not of an RSA key")
    return key


def form_of(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises ``FORMAT_ERROR``."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20))
    except ValueError as error:
        raise BankRefusal(code="FORMAT_ERROR", message="not a form") from error


def opened(bank: Bank, form: Mapping[str, str], *, root: str) -> tuple[Any, bytes]:
    """Return the element tree of ``tranData`` and its bytes, not yet verified. Raises ``FORMAT_ERROR``."""
    if (form.get("interfaceName"), form.get("interfaceVersion")) != bank.interface:
        raise BankRefusal(code="FORMAT_ERROR", message="another interface or version")
    try:
        document = base64.b64decode(form.get("tranData", ""), validate=True)
        text = document.decode(bank.charset)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        tree = etree.fromstring(re.sub(r"\A<\?xml[^>]*\?>", "", text), parser)
    except (binascii.Error, ValueError, etree.XMLSyntaxError) as error:
        raise BankRefusal(code="FORMAT_ERROR", message=f"tranData: {type(error).__name__}") from error
    if tree.tag != root or "\n" in text:
        raise BankRefusal(code="FORMAT_ERROR", message=f"tranData is not a {root} on one line")
    return tree, document


def verify(merchant: Merchant, form: Mapping[str, str], document: bytes) -> None:
    """Check the signature and the certificate of a form. Raises ``SIGN_ERROR``."""
    try:
        if form.get("merCert") != merchant.mer_cert:
            raise BankRefusal(code="SIGN_ERROR", message="another certificate than the registered one")
        signature = base64.b64decode(form.get("merSignMsg", ""), validate=True)
        certified_key(merchant.mer_cert).verify(signature, document, padding.PKCS1v15(), SHA256())
    except (binascii.Error, InvalidSignature) as error:
        raise BankRefusal(code="SIGN_ERROR", message="merSignMsg does not fit") from error


def text(tree: Any, path: str) -> str:
    """Return the text at ``path``. Raises ``FORMAT_ERROR`` when there is no such element."""
    found = tree.findtext(path)
    if found is None:
        raise BankRefusal(code="FORMAT_ERROR", message=f"{path} is missing")
    return str(found)


def document(bank: Bank, root: str, facts: Mapping[str, Any]) -> bytes:
    """Return a document of the bank."""
    tree = etree.Element(root)
    _fill(tree, facts)
    head = f'<?xml  version="1.0" encoding="{bank.charset}" standalone="no" ?>'
    written: str = head + etree.tostring(tree, encoding="unicode")
    return written.encode(bank.charset, "xmlcharrefreplace")


def _fill(parent: Any, facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        child = etree.SubElement(parent, name)
        if isinstance(value, Mapping):
            _fill(child, value)
        else:
            child.text = str(value)
