"""A simulated agency of cooperative medical care (新农合), as docs/spec/cooperative-medical.md writes its interface.

``rows`` says what it hears and remembers, ``agency`` keeps the books, ``wire`` answers hospitals and holds the control
port. Whoever is asked about and does not carry 假 in the name is a member with 60 % of the bill from the fund and half
of the rest from the family account (300.00 yuan). Everything is known by the hospital's own numbers and moves once.
"""
