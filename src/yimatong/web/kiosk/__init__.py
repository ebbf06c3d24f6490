"""Kiosk pages: print the label of a card, by certificate or by code; sheets for a clinic's desk."""
