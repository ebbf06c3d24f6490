"""实时制发卡: a card is issued at a window; the index finds or enters its holder in the same transaction."""

from __future__ import annotations

from datetime import datetime

from yimatong.access.caller import Caller
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.registration import Prepared
from yimatong.cards.errors import RegistrationRaced
from yimatong.cards.registry import queries, service
from yimatong.cards.registry.schemas import CardView, NewCard
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons import service as empi
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal


async def issue(
    connection: Connection, vault: Vault, wanted: NewCard, prepared: Prepared, *, caller: Caller, now: datetime
) -> CardView:
    """Enter a card for a resident whose registration was prepared; the same card again is the same card.

    Without ``with_account`` no electronic card is opened; one that the resident has is linked.

    Raises:
        Refusals of ``registration.register`` (with an account) or PersonDisagrees (without).
        CardTypeUnknown, CardNumberInvalid, CardNumberTaken, ChipNumberTaken, CardReplaced, CardCancelled.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    resident = prepared.resident
    blind = blinder.id_blind(resident.id_type, resident.id_number)
    if wanted.with_account:
        await registration.register(connection, vault, prepared, caller=caller, now=now)
        known = await persons.mpi_of_certificate(connection, id_type=resident.id_type, id_blind=blind)
        if known is None:
            raise RegistrationRaced
        mpi = known
    else:
        mpi = await empi.identify(
            connection,
            resident,
            proposed_mpi=prepared.mpi,
            provider=caller.caller_id,
            mark=prepared.mark,
            sealer=sealer,
            blinder=blinder,
            now=now,
        )
    card = service.plastic(
        card_type=wanted.card_type,
        card_number=wanted.card_number,
        chip_number=wanted.chip_number or "",
        issuer=wanted.issuer,
        holder=(resident.id_type, blind),
        mpi=mpi,
        caller=(caller.caller_id, caller.institution_id),
        blinder=blinder,
    )
    (entered,) = await service.enter_many(connection, [card], sealer=sealer, blinder=blinder, now=now)
    if isinstance(entered, Refusal):
        raise entered
    account = await queries.master(connection, [mpi])
    return queries.view(entered, vuid=account.vuid if account else "")
