"""Signatures: messages that UnionPay itself signed, re-computation by openssl, and every way to be wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from yimatong.payments.channels.unionpay import signing

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "unionpay_5_1_0.json").read_text("utf-8"))
THEN = datetime(2024, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def world():
    """These tests call nobody."""
    return


@pytest.fixture(autouse=True)
def _calm():
    """Nothing to calm."""


def check(fields, **other):
    facts = {
        "method": "01",
        "root_pem": VECTORS["root_pem"],
        "middle_pem": VECTORS["middle_pem"],
        "cn": signing.UNIONPAY_CN,
        "secure_key": "",
        "now": THEN,
    }
    signing.verify(fields, **(facts | other))


@pytest.mark.parametrize("name", VECTORS["answers"])
def test_answers_that_unionpay_signed(name):
    fields = signing.read_answer(VECTORS["answers"][name].encode())
    check(fields)
    assert fields["respMsg"] == "成功[0000000]"
    assert signing.serial(fields["signPubKeyCert"]) == VECTORS["leaf_serial"]
    for field in ("respCode", "txnAmt", "orderId", "merId"):
        with pytest.raises(signing.Unverified):
            check(fields | {field: "2"})


def test_a_notice_that_unionpay_signed():
    fields = signing.read_form(urlencode(VECTORS["notice"]).encode())
    check(fields, now=datetime(2022, 9, 8, 6, tzinfo=UTC))
    for moment in (datetime(2020, 7, 30, tzinfo=UTC), datetime(2025, 8, 1, tzinfo=UTC)):
        with pytest.raises(signing.Unverified, match="not valid now"):
            check(fields, now=moment)


def test_the_pinned_authorities_and_the_name_decide():
    fields = signing.read_answer(VECTORS["answers"]["query"].encode())
    for other in (
        {"middle_pem": VECTORS["root_pem"]},
        {"root_pem": VECTORS["middle_pem"]},
        {"root_pem": fields["signPubKeyCert"]},
        {"root_pem": ""},
        {"cn": "某某支付有限公司"},
        {"cn": ""},
    ):
        with pytest.raises(signing.Unverified):
            check(fields, **other)


def test_a_message_does_not_choose_a_weaker_method():
    fields = signing.read_answer(VECTORS["answers"]["query"].encode())
    forged = {name: value for name, value in fields.items() if name != "signature"} | {"signMethod": "11"}
    empty = hashlib.sha256(b"").hexdigest()
    signature = hashlib.sha256(f"{signing.text_to_sign(forged)}&{empty}".encode()).hexdigest()
    with pytest.raises(signing.Unverified, match="agreed"):
        check(forged | {"signature": signature})
    with pytest.raises(signing.Unverified, match="no key"):
        check(forged | {"signature": signature}, method="11")
    with pytest.raises(signing.Unverified):
        check(fields | {"signMethod": "21"}, method="21")


@pytest.mark.parametrize(("method", "digest"), [("11", "sha256"), ("12", "sm3")])
def test_shared_keys_as_openssl_computes_them(method, digest):
    def openssl(text: str) -> str:
        done = subprocess.run(["openssl", "dgst", f"-{digest}"], input=text.encode(), capture_output=True, check=True)
        return done.stdout.decode().split()[-1]

    signed = signing.sign({"signMethod": method, "b": "二&=", "a": "1", "empty": ""}, secure_key="秘密")
    assert signed["signature"] == openssl(f"a=1&b=二&=&signMethod={method}&{openssl('秘密')}")
    assert "empty" not in signed
    check(signed, method=method, secure_key="秘密")
    with pytest.raises(signing.Unverified):
        check(signed, method=method, secure_key="别的")
    with pytest.raises(signing.Unverified):
        check(signed | {"a": "2"}, method=method, secure_key="秘密")


def test_rsa_signature_as_openssl_verifies_it(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    signed = signing.sign({"signMethod": "01", "orderId": "P1", "txnAmt": "1"}, private_key_pem=pem)
    (tmp_path / "sig").write_bytes(base64.b64decode(signed["signature"]))
    (tmp_path / "pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    hexed = hashlib.sha256(b"orderId=P1&signMethod=01&txnAmt=1").hexdigest().encode()
    command = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "pub", "-signature", tmp_path / "sig"]
    assert b"Verified OK" in subprocess.run(command, input=hexed, capture_output=True, check=True).stdout


def test_unserved_methods_are_not_signed_with():
    for method in ("21", "", "99", "11"):
        with pytest.raises(ValueError, match="not served or has no key"):
            signing.sign({"signMethod": method, "a": "1"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a",
        b"a=1&a=2",
        b"=1",
        b"\xff=1",
        b"a=1&",
        b"<html>",
        b"a=1&b c=2",
        b"&".join(b"a%d=1" % n for n in range(201)),
    ],
)
def test_bodies_that_are_no_answer(body):
    with pytest.raises(signing.Unverified):
        signing.read_answer(body)


def test_braces_and_brackets_keep_their_ampersands():
    fields = signing.read_answer("t={token=1&trId=2}&m=成功[a&b=c]&s=xx==\r\n".encode())
    assert fields == {"t": "{token=1&trId=2}", "m": "成功[a&b=c]", "s": "xx=="}


@pytest.mark.parametrize("body", [b"", b"a=%ff", b"a=1&a=1", "a=成".encode(), b"a", b"a=1;b=2&a=3"])
def test_bodies_that_are_no_notice(body):
    with pytest.raises(signing.Unverified):
        signing.read_form(body)


def _certificate(cn, issuer=None, *, key_size=2048, ca=False, days=10):
    key = rsa.generate_private_key(public_exponent=65537, key_size=key_size)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(THEN - timedelta(days=1))
        .not_valid_after(THEN + timedelta(days=days))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(issuer[1] if issuer else key, SHA256()), key


def _pem(made) -> str:
    return made[0].public_bytes(serialization.Encoding.PEM).decode()


def _of_version_11(made) -> str:
    """Return a certificate that says a version which X.509 does not have (RFC 5280, 4.1.2.1)."""
    der = made[0].public_bytes(serialization.Encoding.DER)
    broken = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a", 1)
    assert broken != der
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(broken).decode()}-----END CERTIFICATE-----\n"


def test_chains_that_only_look_right():
    ours = "041@8310000000083040@中国银联股份有限公司@1"
    root = _certificate("root", ca=True)
    middle = _certificate("middle", root, ca=True)
    leaf = _certificate(ours, middle)
    pinned = {"root_pem": _pem(root), "middle_pem": _pem(middle), "cn": signing.UNIONPAY_CN, "now": THEN}
    assert signing.trusted_key(_pem(leaf), **pinned).key_size == 2048
    no_ca = _certificate("middle", root)
    wrong = [
        (_pem(_certificate(ours, _certificate("middle", root, ca=True))), pinned),  # the same name, another key
        (_pem(_certificate(ours, leaf)), pinned),  # issued by a certificate that may not issue
        (_pem(_certificate(ours, middle, key_size=1024)), pinned),
        (_pem(_certificate("x@y@中国银联股份有限公司假@1", middle)), pinned),
        (_pem(_certificate("中国银联股份有限公司", middle)), pinned),
        (_pem(_certificate(ours, no_ca)), pinned | {"middle_pem": _pem(no_ca)}),
        (_pem(leaf), pinned | {"now": THEN + timedelta(days=11)}),
        (_pem(leaf) * 2, pinned | {"root_pem": _pem(middle)}),
        ("", pinned),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pinned),
        (_of_version_11(leaf), pinned),
    ]
    for certificate, where in wrong:
        with pytest.raises(signing.Unverified):
            signing.trusted_key(certificate, **where)
