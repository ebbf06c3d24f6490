"""Bank cards and insurance cards bound to a card account."""
