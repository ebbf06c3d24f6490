"""The news that the person index sends up through the outbox; who listens names them from here."""

from __future__ import annotations

from typing import Final

PERSON_CANCELLED: Final = "empi.person_cancelled"
"""A person was cancelled: ``mpis`` (hex) are all her ids, ``decision_id`` and ``reason`` say why."""

PERSON_RESTORED: Final = "empi.person_restored"
"""A cancellation was taken back: ``mpis``, and the ``decision_id`` of the cancellation."""

PERSON_UNMERGED: Final = "empi.person_unmerged"
"""A merge was undone: ``mpis`` (hex) went back to being a person of their own, out of the group ``others``."""

SOURCE_ASKED: Final = "empi.source_asked"
"""A steward asks an institution about a record of its own; the institution's webhook gets it."""
