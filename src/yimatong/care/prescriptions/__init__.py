"""Prescription codes: printed on the slip, payable in an app for half an hour, afterwards at a kiosk or window."""
