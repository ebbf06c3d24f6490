"""The feed, PIX and PDQ over MLLP: a foreign client (python-hl7) and reader (hl7apy), the cases of IHE ITI TF-2."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator

import msgspec
import pytest
from core_world import HOSPITAL, make_resident
from fhir_world import GREEN, RED
from hl7.client import MLLPClient
from hl7apy.core import Message
from hl7apy.parser import parse_message

from yimatong.apps import health
from yimatong.gateways.hl7v2 import partners, serving
from yimatong.kit.settings import Addresses, Hl7Partner, Settings

HIS1, HIS2 = RED.removeprefix("urn:oid:"), GREEN.removeprefix("urn:oid:")
PARTNERS = (
    Hl7Partner(application="HIS", facility="H1", caller_id="his-1"),
    Hl7Partner(application="HIS", facility="H2", caller_id="his-2"),
    Hl7Partner(application="FAR", facility="H1", caller_id="his-1", networks=("10.0.0.0/8",)),
)


@pytest.fixture(scope="module")
def port(health_settings: Settings, domains: None, serve: Callable[[object], str]) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    addresses = msgspec.structs.replace(health_settings.addresses, hl7v2=f"mllp://127.0.0.1:{free}")
    assert isinstance(addresses, Addresses)
    serve(lambda: health.build(msgspec.structs.replace(health_settings, addresses=addresses, hl7v2_partners=PARTNERS)))
    return free


@pytest.fixture(scope="module")
def send(port: int) -> Iterator[Callable[..., Message]]:
    """Send segments behind an MSH and return the answer, read by hl7apy."""
    with MLLPClient("127.0.0.1", port) as client:
        client.socket.settimeout(30)

        def exchange(
            kind: str, *segments: str, facility: str = "H1", application: str = "HIS", raw: str = ""
        ) -> Message:
            head = (
                f"MSH|^~\\&|{application}|{facility}|YMT|P|20261123080000||{kind}|{control()}|P|2.5||||||UNICODE UTF-8"
            )
            text = raw or "\r".join([head, *segments]) + "\r"
            answer = client.send_message(text.encode()).strip(b"\x0b\x1c\r").decode()
            exchange.last = answer  # type: ignore[attr-defined]
            return parse_message(answer + "\r", find_groups=False)

        yield exchange


def control() -> str:
    return f"C{secrets.randbelow(10**12)}"


def number() -> str:
    return f"P{secrets.randbelow(10**12)}"


def pid(own: str, name: str = "王小明", *, oid: str = HIS1, more: str = "") -> str:
    return f"PID|1||{own}^^^&{oid}&ISO^PI||{name}||19850307|M|||||13912345678{more}"


def known(send: Callable[..., Message], own: str, name: str = "王小明", **options: str) -> None:
    oid = HIS2 if options.get("facility") == "H2" else HIS1
    answer = send("ADT^A04^ADT_A01", "EVN|A04|20261123", pid(own, name, oid=oid), "PV1||O", **options)
    assert answer.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]


def unique_name() -> str:
    return "".join(chr(0x4E00 + secrets.randbelow(20000)) for _ in range(3))


@pytest.mark.parametrize("event", ["A01", "A04", "A05", "A08"])
def test_a_feed_is_acknowledged_and_a_repeat_changes_nothing(send: Callable[..., Message], event: str) -> None:
    own = number()
    for _ in range(2):
        answer = send(f"ADT^{event}^ADT_A01", f"EVN|{event}|20261123", pid(own, unique_name()), "PV1||O")
        assert answer.msh.msh_9.to_er7() == f"ACK^{event}^ACK"
        assert answer.msa.msa_1.to_er7() == "AA"


def test_pix_finds_the_other_hospitals_number(send: Callable[..., Message]) -> None:
    resident = make_resident()
    own, other = number(), number()
    born = resident.birth_date.replace("-", "")
    for facility, oid, record in (("H1", HIS1, own), ("H2", HIS2, other)):
        text = f"PID|1||{record}^^^&{oid}&ISO||{resident.name}||{born}|M|||||||||||{resident.id_number}"
        done = send("ADT^A04^ADT_A01", "EVN|A04", text, "PV1||O", facility=facility)
        assert done.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]
    query = f"QPD|IHE PIX Query|Q1|{own}^^^&{HIS1}&ISO|^^^&{HIS2}&ISO"
    answer = send("QBP^Q23^QBP_Q21", query, "RCP|I")
    assert answer.msh.msh_9.to_er7() == "RSP^K23^RSP_K23"
    assert (answer.msa.msa_1.to_er7(), answer.qak.qak_2.to_er7()) == ("AA", "OK"), send.last  # type: ignore[attr-defined]
    assert answer.pid.pid_3.to_er7() == f"{other}^^^&{HIS2}&ISO"
    refused = send("QBP^Q23^QBP_Q21", f"QPD|IHE PIX Query|Q1|{other}^^^&{HIS2}&ISO|^^^&{HIS1}&ISO", facility="H2")
    assert refused.err.err_2.to_er7() == "QPD^1^4^1"  # hospital 1 trusts nobody with its record numbers
    same = send("QBP^Q23^QBP_Q21", f"QPD|IHE PIX Query|Q2|{own}^^^&{HIS1}&ISO", "RCP|I")
    assert same.msa.msa_1.to_er7() == "AA"


def test_pix_answers_every_fault_to_the_letter(send: Callable[..., Message]) -> None:
    own = number()
    known(send, own)
    cases = {
        f"QPD|IHE PIX Query|T1|{number()}^^^&{HIS1}&ISO": "QPD^1^3^1^1",
        f"QPD|IHE PIX Query|T2|{own}^^^&1.2.3.4.5&ISO": "QPD^1^3^1^4",
        f"QPD|IHE PIX Query|T3|{own}^^^&{HIS1}&ISO|^^^&{HIS1}&ISO~^^^&1.2.3.4.5&ISO": "QPD^1^4^2",
    }
    for qpd, location in cases.items():
        answer = send("QBP^Q23^QBP_Q21", qpd, "RCP|I")
        assert (answer.msa.msa_1.to_er7(), answer.qak.qak_2.to_er7()) == ("AE", "AE"), qpd
        assert answer.err.err_2.to_er7().startswith(location), (qpd, answer.err.to_er7())
        assert answer.err.err_3.to_er7().startswith("204^"), answer.err.to_er7()
        assert answer.qpd.to_er7().split("|")[2] == qpd.split("|")[2]


def test_pdq_finds_by_demographics_page_by_page(send: Callable[..., Message]) -> None:
    family = unique_name()
    for given in ("安", "宁", "康"):
        known(send, number(), family + given)
    query = f"QPD|IHE PDQ Query|P1|@PID.5.1^{family}*~@PID.8^M"
    seen, pointer = [], ""
    for _ in range(4):
        rest = [f"DSC|{pointer}|I"] if pointer else []
        answer = send("QBP^Q22^QBP_Q21", query, "RCP|I|2^RD", *rest)
        assert answer.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]
        lines = send.last.split("\r")  # type: ignore[attr-defined]
        seen += [line.split("|")[5] for line in lines if line.startswith("PID|")]
        pointer = next((line.split("|")[1] for line in lines if line.startswith("DSC|")), "")
        if not pointer:
            break
    assert len(seen) == 3
    assert not pointer


def test_pdq_says_when_nobody_fits_and_when_a_domain_is_unknown(send: Callable[..., Message]) -> None:
    answer = send("QBP^Q22^QBP_Q21", f"QPD|IHE PDQ Query|P2|@PID.5.1^{unique_name()}~@PID.7^19000101", "RCP|I|10^RD")
    assert (answer.msa.msa_1.to_er7(), answer.qak.qak_2.to_er7()) == ("AA", "NF")
    answer = send("QBP^Q22^QBP_Q21", f"QPD|IHE PDQ Query|P3|@PID.5.1^{unique_name()}|||||^^^&1.2.3.9&ISO", "RCP|I")
    assert answer.err.err_2.to_er7().startswith("QPD^1^8^1")


def test_a_merge_makes_one_person_of_two_records(send: Callable[..., Message]) -> None:
    first, second = number(), number()
    name = unique_name()
    known(send, first, name)
    known(send, second, name)
    done = send("ADT^A40^ADT_A39", "EVN|A40", pid(first, name), f"MRG|{second}^^^&{HIS1}&ISO")
    assert done.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "segments", "code", "condition"),
    [
        ("ADT^A99^ADT_A01", ["PID|||1"], "AR", "201"),
        ("ORU^R01^ORU_R01", ["PID|||1"], "AR", "200"),
        ("ADT^A01^ADT_A01", ["EVN|A01"], "AE", "100"),
        ("ADT^A01^ADT_A01", ["PID|||1^^^&1.2.3.4.5&ISO||王"], "AE", "204"),
        ("ADT^A01^ADT_A01", ["PID|||1^^^&2.16.156.10011.1.3&ISO||王"], "AE", "101"),
    ],
)
def test_faults_have_their_codes(
    send: Callable[..., Message], kind: str, segments: list[str], code: str, condition: str
) -> None:
    answer = send(kind, *segments)
    assert answer.msa.msa_1.to_er7() == code
    assert answer.err.err_3.to_er7().startswith(f"{condition}^")


def test_a_sender_that_nobody_knows_or_from_elsewhere_is_rejected(send: Callable[..., Message]) -> None:
    for options in ({"application": "WHO"}, {"application": "FAR"}):
        answer = send("ADT^A01^ADT_A01", pid(number()), **options)
        assert answer.msa.msa_1.to_er7() == "AR"
        assert "GWY-3111" in answer.err.to_er7()


def test_noise_closes_the_connection_and_nothing_else(port: int, send: Callable[..., Message]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as noisy:
        noisy.sendall(b"GET / HTTP/1.1\r\n\r\n\x1c\r")
        assert noisy.recv(100) == b""
    known(send, number())


def test_two_messages_in_one_packet_are_both_answered(port: int) -> None:
    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for own in ("M1", "M2"):
            head = f"MSH|^~\\&|HIS|H1|YMT|P|2026||ADT^A04^ADT_A01|{own}|P|2.5||||||UNICODE UTF-8"
            writer.write(b"\x0b" + f"{head}\r{pid(number())}\r".encode() + b"\x1c\r")
        await writer.drain()
        got = b""
        while got.count(b"\x1c\r") < 2:
            got += await asyncio.wait_for(reader.read(4096), 20)
        writer.close()
        return got

    answers = asyncio.run(exchange())
    assert b"MSA|AA|M1\r" in answers
    assert b"MSA|AA|M2\r" in answers


def test_the_institution_is_the_partners_own(send: Callable[..., Message]) -> None:
    """A number without an authority is of the sender's own system; one of another hospital's is refused."""
    done = send("ADT^A04^ADT_A01", f"PID|1||{number()}||{unique_name()}||1990|F", "PV1||O")
    assert done.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]
    named = send("ADT^A04^ADT_A01", f"PID|1||{number()}^^^{HOSPITAL}||{unique_name()}||1990|F", "PV1||O")
    assert named.msa.msa_1.to_er7() == "AA", send.last  # type: ignore[attr-defined]
    wrong = send("ADT^A04^ADT_A01", pid(number(), oid=HIS2), "PV1||O")
    assert wrong.msa.msa_1.to_er7() == "AE"


def test_what_the_reader_stumbles_over_is_not_in_the_log(
    send: Callable[..., Message], caplog: pytest.LogCaptureFixture
) -> None:
    name = unique_name()
    for broken in (f"{name}\\Xzz\\", f"{name}\\Cd800\\", f"{name}\\Z41\\", f"{name}\\X00\\"):
        send("ADT^A04^ADT_A01", pid(number(), broken))
    send("QBP^Q23^QBP_Q21", "QPD|IHE PIX Query|T1|1^^^&1.2\\X00\\3&ISO", "RCP|I")
    assert name not in caplog.text


def test_an_answer_cannot_be_made_of_what_the_header_said(port: int) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        head = "MSH|^~\\&|HIS|H1|YMT|P|2026||ADT^A04|C1|P\\X0D\\ZZZ\\F\\1|2.5\\X0D\\ZZZ\\F\\2||||||UNICODE UTF-8"
        answer = client.send_message(f"{head}\r{pid(number())}\r".encode())
    assert b"\rZZZ" not in answer


async def test_only_partners_are_listened_to_and_none_takes_every_place() -> None:
    async def echo(block: bytes, _peer: str) -> bytes:
        return block

    def admits(peer: str) -> bool:
        return partners.may_connect(allowed, peer)

    allowed: tuple[Hl7Partner, ...] = (Hl7Partner(caller_id="x", networks=("10.0.0.0/8",)),)
    assert admits("10.1.2.3")
    assert admits("::ffff:10.1.2.3")
    assert not any(map(admits, ("11.0.0.1", "::1", "")))
    server = await serving.serve(echo, admits=admits, host="127.0.0.1", port=0)
    free = server.sockets[0].getsockname()[1]
    reader, stranger = await asyncio.open_connection("127.0.0.1", free)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    allowed = (Hl7Partner(caller_id="x"),)
    held = [await asyncio.open_connection("127.0.0.1", free) for _ in range(serving.CONNECTIONS_OF_ONE_MAX)]
    over, late = await asyncio.open_connection("127.0.0.1", free)
    assert await asyncio.wait_for(over.read(), 10) == b""
    held[0][1].close()
    await asyncio.sleep(1)
    again, writer = await asyncio.open_connection("127.0.0.1", free)
    writer.write(b"\x0bx\x1c\r")
    assert await asyncio.wait_for(again.readexactly(4), 10) == b"\x0bx\x1c\r"
    for _, each in (*held, (reader, stranger), (over, late), (again, writer)):
        each.close()
        with contextlib.suppress(ConnectionError):
            await each.wait_closed()
    server.close()
