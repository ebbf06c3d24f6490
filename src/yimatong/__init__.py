"""yimatong (一码通): the platform that a province runs its electronic health card on."""

__version__ = "0.1.0"
