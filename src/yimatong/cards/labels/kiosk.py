"""What the kiosk pages need of the cards room: whose browser it is, the reader's line, applications, labels to show.

A kiosk is an approved terminal. Its own program asks for a one-time link with the terminal's signature and opens the
browser with it; the session stands for that terminal and ends with the day, or when the terminal is suspended.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access import request_auth, sessions
from yimatong.access.caller import Caller
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.real_name import LEVELS
from yimatong.cards.accounts.schemas import RealNameProof, Registration
from yimatong.cards.errors import ApplyAtCounter, CardNotApplied, CertificateUnreadable, RealNameMethodNotAllowed
from yimatong.cards.labels.schemas import LabelOf
from yimatong.cards.labels.service import Printing, Ready, folded, prepared, prepared_many
from yimatong.cards.models import holder
from yimatong.cards.symbologies import layout, paper
from yimatong.crypto.errors import SealBroken
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonDisagrees
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database
from yimatong.kit.errors import Refusal
from yimatong.kit.masking import PersonName
from yimatong.standards import id_number, names

LINK_S: Final = 300
APPLY_S: Final = 600
_HELD: Final = "kiosk-application"
LINE_MARK: Final = "YMTID1."
LINE_S: Final = 60
_LINE: Final = re.compile(r"YMTID1\.([A-Za-z0-9_-]{16,2048})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_ID_CARD: Final = "01"


class Kiosk(msgspec.Struct, frozen=True, kw_only=True):
    """What a kiosk session stands for. ``staff`` is a clinic's own desk, which may print sheets."""

    caller_id: str
    size: str
    symbology: str
    staff: bool


class CertificateRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate reader read off the chip; further members (address, photograph) are dropped unread.

    ``sex`` (GB/T 2261.1) and ``birth_date`` are needed to apply with a certificate whose number tells neither.
    """

    id_type: str
    id_number: str
    name: str
    sex: str = ""
    birth_date: date | None = None


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who applies at a kiosk, between the reader and the last button; never in the clear in a page."""

    read: CertificateRead
    phone: str
    until: datetime


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at the kiosk: whose label, and the name to show, masked."""

    whose: LabelOf
    name: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A label that was printed to a page."""

    svg: str
    name: str
    serial: str


_certificate: Final = msgspec.json.Decoder(CertificateRead)
_application: Final = msgspec.json.Decoder(Application)


class _AtTheReader:
    """Nobody outside is asked: the certificate lies on the reader."""

    async def check(self, method: str, _resident: Demographics, _proof: RealNameProof, *, now: datetime) -> str:
        raise RealNameMethodNotAllowed(method=method, audit=f"{now:%H:%M}")


async def make_link(connection: Connection, kiosk: Kiosk, *, now: datetime) -> str:
    """Make the one-time token that opens a kiosk's browser within ``LINK_S`` seconds."""
    subject = f"{kiosk.caller_id} {kiosk.size} {kiosk.symbology} {'staff' if kiosk.staff else 'public'}"
    return await sessions.make_link(connection, subject=subject, purpose="kiosk", lifetime_s=LINK_S, now=now)


def kiosk_of(subject: str) -> Kiosk:
    """Return what a session's subject says."""
    caller_id, size, symbology, desk = subject.split(" ")
    return Kiosk(caller_id=caller_id, size=size, symbology=symbology, staff=desk == "staff")


def is_certificate(line: str) -> bool:
    """Say whether a line that was typed by a reader is a certificate's, not a code's."""
    return line.startswith(LINE_MARK)


def line_signature(key: HmacSm3, payload: str, timestamp: int) -> str:
    """Return what the kiosk's own program signs a certificate's line with, under the terminal's secret. Pure."""
    return request_auth.sign(key, f"{LINE_MARK}{payload}\n{timestamp}\n".encode())


def certificate_of(line: str, *, key: HmacSm3, now: datetime) -> CertificateRead:
    """Read the line of a certificate reader: ``YMTID1.``, base64url of JSON, Unix seconds, signature. Pure.

    The scanner of codes types into the same field: without the signature anybody could show it a QR code that says
    whose certificate lies on the reader.

    Raises:
        CertificateUnreadable: anything else, a line older than ``LINE_S``, or another terminal's.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise CertificateUnreadable(audit="no certificate line")
    payload, timestamp, signature = found[1], int(found[2]), found[3]
    if not hmac.compare_digest(line_signature(key, payload, timestamp), signature):
        raise CertificateUnreadable(audit="signature does not hold")
    if abs(now.timestamp() - timestamp) > LINE_S:
        raise CertificateUnreadable(audit="too old")
    try:
        plain = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return _certificate.decode(plain)
    except (ValueError, msgspec.DecodeError) as error:
        raise CertificateUnreadable(audit=type(error).__name__) from error


async def by_certificate(
    connection: Connection, vault: Vault, read: CertificateRead, *, caller: Caller, now: datetime
) -> Found:
    """Find the account of a certificate that lies on the reader; its institution holds the account from then on.

    Raises:
        CertificateUnreadable: no possible number. CardNotApplied: no account has it.
        PersonDisagrees: the number is somebody's of another name.
    """
    number = _number(read, now=now)
    blind = (await vault.blinder()).id_blind(read.id_type, number)
    mpi = await persons.mpi_of_certificate(connection, id_type=read.id_type, id_blind=blind)
    account = None if mpi is None else await accounts.live_of_person(connection, mpi)
    if account is None:
        raise CardNotApplied
    person = await persons.read(connection, await vault.sealer(), account.mpi)
    if not names.same_name(person.name, read.name):
        raise PersonDisagrees
    level = LEVELS["certificate_read"]
    statement = upsert(holder).values(
        vuid=account.vuid, holder=accounts.holder_of(caller.scope), real_name_level=level, since=now
    )
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["vuid", "holder"], set_={"real_name_level": level})
    )
    return Found(whose=LabelOf(vuid=account.vuid), name=folded(person.name.masked))


def _number(read: CertificateRead, *, now: datetime) -> str:
    if read.id_type != _ID_CARD:
        return read.id_number.strip().upper()
    try:
        return id_number.parse(read.id_number, today=business_date(now)).number18
    except Refusal as error:
        raise CertificateUnreadable(audit=error.code) from error


def application_of(read: CertificateRead, *, now: datetime) -> Application:
    """Begin an application with what lies on the reader. Pure.

    Raises:
        CertificateUnreadable: no possible number. ApplyAtCounter: sex or day of birth is missing.
    """
    number = _number(read, now=now)
    if read.id_type == _ID_CARD:
        known = id_number.parse(number, today=business_date(now))
        read = msgspec.structs.replace(read, sex=known.sex, birth_date=known.birth_date)
    elif not read.sex or read.birth_date is None:
        raise ApplyAtCounter
    read = msgspec.structs.replace(read, id_number=number)
    return Application(read=read, phone="", until=now + timedelta(seconds=APPLY_S))


async def hold(vault: Vault, application: Application, *, caller: Caller) -> str:
    """Return an application sealed, for a hidden field of this terminal's own page."""
    sealer = await vault.sealer(_HELD)
    return sealer.seal(msgspec.json.encode(application), f"{_HELD}:{caller.caller_id}".encode()).hex()


async def held(vault: Vault, text: str, *, caller: Caller, now: datetime) -> Application:
    """Open an application that this terminal's page brings back.

    Raises:
        CertificateUnreadable: another terminal's, altered, or begun too long ago; the certificate is read again then.
    """
    try:
        plain = (await vault.sealer(_HELD)).unseal(bytes.fromhex(text), f"{_HELD}:{caller.caller_id}".encode())
        application = _application.decode(plain)
    except (ValueError, SealBroken) as error:
        raise CertificateUnreadable(audit=type(error).__name__) from error
    if application.until <= now:
        raise CertificateUnreadable(audit="application begun too long ago")
    return application


async def prepare(
    db: Database, vault: Vault, application: Application, *, caller: Caller, now: datetime
) -> registration.Prepared:
    """Do what comes before the transaction of ``register``.

    Raises:
        Refusals of ``registration.prepare``.
    """
    read = application.read
    facts = {
        "name": read.name,
        "sex": read.sex,
        "birth_date": read.birth_date,
        "id_type": read.id_type,
        "id_number": read.id_number,
        "phone": application.phone,
    }
    try:
        resident = msgspec.convert(facts, Demographics)
    except msgspec.ValidationError as error:
        raise CertificateUnreadable(audit="demographics") from error
    wanted = Registration(resident=resident, real_name="certificate_read")
    return await registration.prepare(db, vault, wanted, caller=caller, real_name=_AtTheReader(), now=now)


async def register(
    connection: Connection,
    vault: Vault,
    prepared: registration.Prepared,
    *,
    caller: Caller,
    request_id: str,
    now: datetime,
) -> LabelOf:
    """Register an applicant whose certificate this terminal read; the same one again gets the same account.

    Raises:
        Refusals of ``registration.register``.
    """
    done = await registration.register(connection, vault, prepared, caller=caller, now=now, request_id=request_id)
    return LabelOf(vuid=done.vuid)


def masked_name(name: str) -> str:
    """Return a name as a kiosk shows it; one that is masked already stays as it is. Pure."""
    return folded(name if "*" in name else PersonName(name).masked)


async def show_label(
    connection: Connection, vault: Vault, whose: LabelOf, printing: Printing, *, kiosk: Kiosk
) -> Shown:
    """Print one label to a page.

    Raises:
        See ``service.print_label``.
    """
    ready = await prepared(connection, vault, whose, printing, symbology=kiosk.symbology, place=0)
    page = layout.label(ready.content, layout.SIZES[kiosk.size])
    return Shown(svg=paper.svg(page), name=ready.content.name, serial=ready.row.serial)


async def show_sheet(
    connection: Connection, vault: Vault, whose: list[LabelOf], printing: Printing, *, kiosk: Kiosk, sheet: str
) -> list[str]:
    """Print labels to pages of stickers, each an SVG.

    Raises:
        SheetRefused, and what ``service.print_sheet`` raises.
    """
    ready: list[Ready] = await prepared_many(connection, vault, whose, printing, symbology=kiosk.symbology)
    return [paper.svg(page) for page in layout.sheets([each.content for each in ready], layout.SHEETS[sheet])]
