"""The channels' bills on disk, for the job that seals them anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from pathlib import Path

from yimatong.access.resealing import SealedFiles


def bills(data: Path) -> SealedFiles:
    """Return the place of the kept bills in the data folder."""
    return SealedFiles(
        name="bills", folder=data / "bills", files="*.sealed", purpose="bills", aad=lambda path: path.name.encode()
    )
