"""Card accounts: registration, state, who may show their codes."""
