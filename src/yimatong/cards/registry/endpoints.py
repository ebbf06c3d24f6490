"""HTTP of physical cards, and the one call for plastic and electronic."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.accounts.real_name import RealNameCheck
from yimatong.cards.accounts.schemas import Registration
from yimatong.cards.codes.endpoints import Verifications, verify
from yimatong.cards.codes.schemas import CodeToVerify
from yimatong.cards.errors import (
    AccountFrozen,
    AccountNotFound,
    CardCancelled,
    CardChangeNotAllowed,
    CardLost,
    CardNotFound,
    CardNumberInvalid,
    CardNumberTaken,
    CardReplaced,
    CardTypeUnknown,
    ChipNumberTaken,
    CodeBurnt,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUnreadable,
    CodeUsed,
    CodeWrongPurpose,
    DeliveryNotFound,
    IdentifyByOneMedium,
    MediumWrongPurpose,
    NotIdentified,
    RealNameMethodNotAllowed,
    RealNameMismatch,
    RealNameTooWeak,
    RegistrationRaced,
    StaticCodeSwitchedOff,
    TerminalThrottled,
)
from yimatong.cards.registry import arrivals, identification, issuing, queries, service
from yimatong.cards.registry.schemas import (
    AccountCards,
    CardChange,
    CardSearch,
    CardView,
    Delivery,
    DeliveryView,
    Identified,
    NewCard,
    Replacement,
    ToIdentify,
)
from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    PersonDisagrees,
    SexDisagrees,
)
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, Refusal

CardIdInPath = Annotated[str, PathParameter(pattern="^pcd_[0-9a-f]{32}(?!\\n)$")]
DeliveryInPath = Annotated[str, PathParameter(pattern="^[0-9A-Za-z_.-]{1,64}(?!\\n)$")]


@post(
    "/api/v1/physical-cards",
    permission="cards:issue",
    responses=documented(
        CardView,
        CardNumberTaken,
        ChipNumberTaken,
        CardReplaced,
        CardCancelled,
        CardTypeUnknown,
        CardNumberInvalid,
        PersonDisagrees,
        BirthDateDisagrees,
        SexDisagrees,
        BirthDateImpossible,
        CertificateTypeUnknown,
        CertificateNumberInvalid,
        RealNameMismatch,
        RealNameTooWeak,
        RealNameMethodNotAllowed,
        RegistrationRaced,
        AccountFrozen,
        PartyUnreachable,
        PartyOutcomeUnknown,
    ),
)
async def issue_card(
    data: JSONBody[NewCard], call: NamedDependency[Call], real_name: NamedDependency[RealNameCheck]
) -> Response[bytes]:
    """Issue a physical card now; the index finds or enters its holder, an electronic card is opened only if asked."""
    before = await call.answered_before()
    if before is not None:
        return before
    wanted = Registration(resident=data.holder, real_name=data.real_name)
    prepared = await registration.prepare(
        call.db, call.vault, wanted, caller=call.caller, real_name=real_name, now=call.now
    )
    return await call.write(lambda tx: issuing.issue(tx, call.vault, data, prepared, caller=call.caller, now=call.now))


@post(
    "/api/v1/physical-cards/find",
    permission="cards:read",
    status_code=200,
    responses=documented(CardView, CardNotFound, IdentifyByOneMedium, status=200),
)
async def find_card(data: JSONBody[CardSearch], call: NamedDependency[Call]) -> CardView:
    """Find a card by number and type, or by chip, and with it its account; numbers stay out of addresses."""
    number, chip = await identification.search(call.vault, data)
    return await call.read(lambda tx: queries.found(tx, number=number, chip=chip, scope=call.caller.scope))


@get(
    "/api/v1/physical-cards/{card_id:str}",
    permission="cards:read",
    responses=documented(CardView, CardNotFound, status=200),
)
async def read_card(card_id: CardIdInPath, call: NamedDependency[Call]) -> CardView:
    """Read a card that the caller issued, or whose account it holds."""
    return await call.read(lambda tx: queries.read(tx, card_id, scope=call.caller.scope))


@post(
    "/api/v1/physical-cards/{card_id:str}/state",
    permission="cards:change",
    status_code=200,
    responses=documented(
        CardView, CardNotFound, CardReplaced, CardCancelled, CardChangeNotAllowed, status=200, keyed=True
    ),
)
async def change_card(
    card_id: CardIdInPath, data: JSONBody[CardChange], call: NamedDependency[Call]
) -> Response[bytes]:
    """Report a card lost or found, or cancel it; from this moment on a card that is not in force is refused."""
    return await call.write(
        lambda tx: service.change_state(tx, card_id, data.state, caller=call.caller, now=call.now), status=200
    )


@post(
    "/api/v1/physical-cards/{card_id:str}/replace",
    permission="cards:change",
    responses=documented(
        CardView,
        CardNotFound,
        CardReplaced,
        CardCancelled,
        CardNumberTaken,
        ChipNumberTaken,
        CardNumberInvalid,
        CardChangeNotAllowed,
    ),
)
async def replace_card(
    card_id: CardIdInPath, data: JSONBody[Replacement], call: NamedDependency[Call]
) -> Response[bytes]:
    """Put a new card in the place of this one; the old one keeps its history and is refused by name."""
    return await call.write(lambda tx: service.replace(tx, call.vault, card_id, data, caller=call.caller, now=call.now))


@get(
    "/api/v1/accounts/{vuid:str}/physical-cards",
    permission="cards:read",
    responses=documented(AccountCards, AccountNotFound, status=200),
)
async def list_cards(vuid: VuidInPath, call: NamedDependency[Call]) -> AccountCards:
    """List the physical cards of an account that the caller holds."""
    return await call.read(lambda tx: queries.of_account(tx, vuid, scope=call.caller.scope))


@post(
    "/api/v1/physical-cards/deliveries",
    permission="cards:deliver",
    status_code=202,
    responses=documented(DeliveryView, status=202, keyed=True),
)
async def receive_delivery(data: JSONBody[Delivery], call: NamedDependency[Call]) -> Response[bytes]:
    """Take over rows of a day's delivery; the index registers them in the background."""
    return await call.write(
        lambda tx: arrivals.receive_and_view(
            tx, call.vault, data.rows, delivery=data.delivery, scope=call.caller.scope, now=call.now
        ),
        status=202,
    )


@get(
    "/api/v1/physical-cards/deliveries/{delivery:str}",
    permission="cards:deliver",
    responses=documented(DeliveryView, DeliveryNotFound, status=200),
)
async def read_delivery(delivery: DeliveryInPath, call: NamedDependency[Call]) -> DeliveryView:
    """Read how far a delivery is, and which of its rows were refused why."""
    return await call.read(lambda tx: queries.delivery(tx, delivery, scope=call.caller.scope))


@post(
    "/api/v1/physical-cards/deliveries/{delivery:str}/retry",
    permission="cards:deliver",
    status_code=202,
    responses=documented(DeliveryView, DeliveryNotFound, status=202, keyed=True),
)
async def retry_delivery(delivery: DeliveryInPath, call: NamedDependency[Call]) -> Response[bytes]:
    """Try the refused rows of a delivery again."""
    return await call.write(lambda tx: arrivals.retry(tx, delivery, scope=call.caller.scope), status=202)


@post(
    "/api/v1/identify",
    permission="residents:identify",
    reads="personal",
    status_code=200,
    responses=documented(
        Identified,
        IdentifyByOneMedium,
        NotIdentified,
        CardLost,
        CardReplaced,
        CardCancelled,
        AccountFrozen,
        MediumWrongPurpose,
        CodeUnreadable,
        CodeNotGenuine,
        CodeExpired,
        CodeUsed,
        CodeBurnt,
        CodeRevoked,
        CodeWrongPurpose,
        StaticCodeSwitchedOff,
        TerminalThrottled,
        status=200,
        keyed=True,
    ),
)
async def identify_resident(
    data: JSONBody[ToIdentify],
    call: NamedDependency[Call],
    verifications: NamedDependency[Verifications],
) -> Response[bytes]:
    """Find the resident behind a code, a physical card or a certificate, in one call with one answer."""
    attempt = identification.Attempt(data, caller=call.caller, request_id=call.request_id, now=call.now)
    if data.code is not None:
        call.caller.require("codes:verify")
        before = await call.answered_before()
        if before is not None:
            return before
        wanted = CodeToVerify(code=data.code, purpose=data.purpose, med_step=data.med_step)
        verified = await verify(call, wanted, verifications, nonce=f"identify.{call.nonce}")
        return await call.write(lambda tx: identification.by_code(tx, verified), status=200)
    try:
        return await call.write(lambda tx: attempt.run(tx, call.vault), status=200)
    except Refusal as refusal:
        async with call.db.transaction() as connection:
            await attempt.note_refusal(connection, refusal)
        raise


ROUTES = [
    issue_card,
    find_card,
    read_card,
    change_card,
    replace_card,
    list_cards,
    receive_delivery,
    read_delivery,
    retry_delivery,
    identify_resident,
]
