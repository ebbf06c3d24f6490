"""Signed XML in form fields: base64 of the document, and base64 of an RSA signature over its bytes. Pure.

RSA-SHA256, PKCS #1 v1.5, over the document in the bank's own character set, before base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

FIELDS_MAX: Final = 10


class Unverified(Exception):
    """What came is not proven to come from the bank; the text says why, for the audit only."""


def sign(private_key_pem: str, document: bytes) -> str:
    """Return the base64 signature over ``document``."""
    return base64.b64encode(_private_key(private_key_pem).sign(document, padding.PKCS1v15(), SHA256())).decode()


def encoded(document: bytes) -> str:
    """Return a document as it stands in a field."""
    return base64.b64encode(document).decode()


def fields(body: bytes) -> dict[str, str]:
    """Return the fields of a form (application/x-www-form-urlencoded).

    Raises:
        Unverified: not a form, a name twice, or too many names.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        message = f"not a form: {error}"
        raise Unverified(message) from error
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a field stands twice"
        raise Unverified(message)
    return found


def verified(form: Mapping[str, str], *, keys_pem: Sequence[str]) -> bytes:
    """Return the document in ``notifyData`` when ``signMsg`` is a signature over it by one of the keys.

    Raises:
        Unverified: a field is missing or not base64, or no signature fits.
    """
    try:
        document = base64.b64decode(form["notifyData"], validate=True)
        signature = base64.b64decode(form["signMsg"], validate=True)
    except (KeyError, binascii.Error, ValueError) as error:
        message = f"notifyData or signMsg: {error}"
        raise Unverified(message) from error
    for pem in keys_pem:
        try:
            _public_key(pem).verify(signature, document, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return document
    message = "the signature does not fit"
    raise Unverified(message)


@lru_cache(maxsize=512)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Parse and check a key once: the check costs many times a signature."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "the merchant's private key is not an RSA key"
        raise TypeError(message)
    return key


@lru_cache(maxsize=512)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        message = "the bank's public key is not an RSA key"
        raise TypeError(message)
    return key
