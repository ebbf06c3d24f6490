"""Which device an installation has: the settings say, and every process asks here."""

from __future__ import annotations

from yimatong.crypto.devices.base import BLOCK_USAGES, KeyUsage
from yimatong.crypto.devices.sdf import SdfDevice
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import Settings

Device = SoftDevice | SdfDevice


def open_device(settings: Settings) -> Device:
    """Open the device that the settings name. Never before a fork: a crypto machine is opened once by each process.

    Raises:
        KeystoreUnreadable, PassphraseWrong: the keystore, or the book of the machines, cannot be opened.
        DemonstrationKeysInProduction: production mode with demonstration keys.
        SdfLibraryUnusable: a library of GM/T 0018 cannot be loaded, or the settings name one twice.
    """
    path, passphrase, production = settings.keystore, settings.keystore_secret(), settings.production
    if settings.device == "sdf":
        return SdfDevice.open(path, passphrase, settings.crypto_machines, production=production)
    return SoftDevice.open(path, passphrase, production=production)


def create_device(settings: Settings) -> Device:
    """Make an empty keystore, or an empty book for the machines, and open it.

    Raises:
        KeystoreExists: there is one already. SdfLibraryUnusable: see :func:`open_device`.
    """
    if settings.device == "sdf":
        return SdfDevice.create(settings.keystore, settings.keystore_secret(), settings.crypto_machines)
    return SoftDevice.create(settings.keystore, settings.keystore_secret())


def create_demonstration(settings: Settings) -> None:
    """Make a keystore or a book with one generated version of each usage, marked so that production refuses it.

    A signing key needs a key pair that the maker's tool made: without ``signing_indexes`` there is none.

    Raises:
        KeystoreExists, SdfLibraryUnusable: see :func:`create_device`.
        DeviceUnavailable, SdfError: the machines do not answer, or decline; no book is left behind.
    """
    if settings.device == "soft":
        SoftDevice.create_demonstration(settings.keystore, settings.keystore_secret())
        return
    device = SdfDevice.create(
        settings.keystore, settings.keystore_secret(), settings.crypto_machines, demonstration=True
    )
    try:
        for usage in BLOCK_USAGES:
            device.generate(usage)
        if all(machine.signing_indexes for machine in settings.crypto_machines):
            device.generate(KeyUsage.SIGNING)
    except PlatformError:
        settings.keystore.unlink()
        raise
    finally:
        device.close()
