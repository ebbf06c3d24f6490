"""HTTP of bindings."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access import idempotency
from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.bindings import queries, service, unbinding
from yimatong.cards.bindings.issuers import Desk
from yimatong.cards.bindings.schemas import (
    BankCards,
    BankCardView,
    ChallengeAnswer,
    InsuranceCards,
    InsuranceCardView,
    NewBankCard,
    NewInsuranceCard,
    Unbinding,
)
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    BindingBusy,
    BindingNotFound,
    BindingNotOpen,
    BindingsFull,
    BindingStartsTooMany,
    CardBoundAlready,
    CardHolderMismatch,
    CardNotUsable,
    CardOfAnother,
    CardPasswordLocked,
    CardPasswordWrong,
    ChallengeAnswerMissing,
    ChallengeExpired,
    ChallengeFailed,
    ChallengeWrong,
    PartyBusy,
    PartyNotConnected,
    PartyRefusesUs,
    UnbindingNotProven,
    UnbindingTriesSpent,
)
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, PlatformError
from yimatong.standards.errors import BankCardChecksum, BankCardIssuerUnknown, BankCardShape, InsuranceCardShape

BindingInPath = Annotated[str, PathParameter(pattern="^(bkc|soc)_[0-9a-f]{32}(?!\\n)$")]
_ACCOUNT: tuple[type[PlatformError], ...] = (AccountNotFound, AccountFrozen, AccountCancelled)
_STARTING: tuple[type[PlatformError], ...] = (
    *_ACCOUNT,
    CardBoundAlready,
    CardOfAnother,
    BindingsFull,
    BindingStartsTooMany,
    BindingBusy,
    CardHolderMismatch,
    CardNotUsable,
)
_PARTY: tuple[type[PlatformError], ...] = (
    PartyNotConnected,
    PartyBusy,
    PartyRefusesUs,
    PartyUnreachable,
    PartyOutcomeUnknown,
)
_UNBINDING: tuple[type[PlatformError], ...] = (
    AccountNotFound,
    BindingNotFound,
    BindingNotOpen,
    UnbindingNotProven,
    UnbindingTriesSpent,
)


async def _first_answer(call: Call) -> Response[bytes] | None:
    """Return the answer that this very request got before; every verb here needs a key."""
    idempotency.require(call.key)
    return await call.answered_before()


@post(
    "/api/v1/accounts/{vuid:str}/bank-cards",
    permission="accounts:change",
    reads="personal",
    responses=documented(BankCardView, *_STARTING, BankCardShape, BankCardChecksum, BankCardIssuerUnknown, *_PARTY),
)
async def start_bank_card(
    vuid: VuidInPath, data: JSONBody[NewBankCard], call: NamedDependency[Call], bindings: NamedDependency[Desk]
) -> Response[bytes]:
    """Begin to bind a bank card of the resident; the bank sends its challenge to the phone that it knows."""
    if (before := await _first_answer(call)) is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    binding_id = await service.start_bank_card(bindings, vuid, data, origin=origin, key=call.key, now=call.now)
    return await call.write(lambda tx: queries.view(tx, binding_id))


@get(
    "/api/v1/accounts/{vuid:str}/bank-cards",
    permission="accounts:read",
    reads="personal",
    responses=documented(BankCards, AccountNotFound, status=200),
)
async def list_bank_cards(vuid: VuidInPath, call: NamedDependency[Call]) -> BankCards:
    """List the bank cards of an account, masked."""
    return await call.read(lambda tx: queries.bank_cards(tx, vuid, scope=call.caller.scope))


@post(
    "/api/v1/accounts/{vuid:str}/bank-cards/{binding_id:str}/confirm",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(
        BankCardView,
        *_ACCOUNT,
        BindingNotFound,
        BindingNotOpen,
        BindingBusy,
        ChallengeAnswerMissing,
        ChallengeWrong,
        ChallengeFailed,
        ChallengeExpired,
        CardNotUsable,
        *_PARTY,
        status=200,
        keyed=True,
    ),
)
async def confirm_bank_card(
    vuid: VuidInPath,
    binding_id: BindingInPath,
    data: JSONBody[ChallengeAnswer],
    call: NamedDependency[Call],
    bindings: NamedDependency[Desk],
) -> Response[bytes]:
    """Hand in the code or the amount that the bank sent."""
    if (before := await _first_answer(call)) is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    await service.confirm(bindings, vuid, binding_id, data, origin=origin, key=call.key, now=call.now)
    return await call.write(lambda tx: queries.view(tx, binding_id), status=200)


@post(
    "/api/v1/accounts/{vuid:str}/bank-cards/{binding_id:str}/default",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(BankCardView, *_ACCOUNT, BindingNotFound, BindingNotOpen, status=200, keyed=True),
)
async def choose_default(vuid: VuidInPath, binding_id: BindingInPath, call: NamedDependency[Call]) -> Response[bytes]:
    """Make a bound bank card the default one."""
    origin = history.of_caller(call.caller, call.request_id)
    return await call.write(
        lambda tx: service.set_default(tx, vuid, binding_id, origin=origin, now=call.now), status=200
    )


@post(
    "/api/v1/accounts/{vuid:str}/bank-cards/{binding_id:str}/unbind",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(BankCardView, *_UNBINDING, status=200, keyed=True),
)
async def unbind_bank_card(
    vuid: VuidInPath,
    binding_id: BindingInPath,
    data: JSONBody[Unbinding],
    call: NamedDependency[Call],
    bindings: NamedDependency[Desk],
) -> Response[bytes]:
    """Take a bank card off the account; certificate and card number must both be right."""
    return await _unbind(vuid, binding_id, data, call=call, desk=bindings, kinds=(queries.BANK_CARD,))


@post(
    "/api/v1/accounts/{vuid:str}/insurance-cards",
    permission="accounts:change",
    reads="personal",
    responses=documented(
        InsuranceCardView, *_STARTING, CardPasswordWrong, CardPasswordLocked, InsuranceCardShape, *_PARTY
    ),
)
async def bind_insurance_card(
    vuid: VuidInPath, data: JSONBody[NewInsuranceCard], call: NamedDependency[Call], bindings: NamedDependency[Desk]
) -> Response[bytes]:
    """Bind a social-insurance card or 合疗证; the insurer checks its password."""
    if (before := await _first_answer(call)) is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    binding_id = await service.bind_insurance_card(bindings, vuid, data, origin=origin, key=call.key, now=call.now)
    return await call.write(lambda tx: queries.view(tx, binding_id))


@get(
    "/api/v1/accounts/{vuid:str}/insurance-cards",
    permission="accounts:read",
    reads="personal",
    responses=documented(InsuranceCards, AccountNotFound, status=200),
)
async def list_insurance_cards(vuid: VuidInPath, call: NamedDependency[Call]) -> InsuranceCards:
    """List the insurance cards of an account with what is insured and where, numbers masked."""
    return await call.read(lambda tx: queries.insurance_cards(tx, vuid, scope=call.caller.scope))


@post(
    "/api/v1/accounts/{vuid:str}/insurance-cards/{binding_id:str}/unbind",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(InsuranceCardView, *_UNBINDING, status=200, keyed=True),
)
async def unbind_insurance_card(
    vuid: VuidInPath,
    binding_id: BindingInPath,
    data: JSONBody[Unbinding],
    call: NamedDependency[Call],
    bindings: NamedDependency[Desk],
) -> Response[bytes]:
    """Take an insurance card off the account; certificate and card number must both be right."""
    return await _unbind(vuid, binding_id, data, call=call, desk=bindings, kinds=queries.INSURANCE_CARDS)


async def _unbind(
    vuid: str, binding_id: str, data: Unbinding, *, call: Call, desk: Desk, kinds: tuple[str, ...]
) -> Response[bytes]:
    if (before := await _first_answer(call)) is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    await unbinding.unbind(desk, vuid, binding_id, data, kinds=kinds, origin=origin, now=call.now)
    return await call.write(lambda tx: queries.view(tx, binding_id), status=200)


ROUTES = [
    start_bank_card,
    list_bank_cards,
    confirm_bank_card,
    choose_default,
    unbind_bank_card,
    bind_insurance_card,
    list_insurance_cards,
    unbind_insurance_card,
]
