"""How an account stands: active, frozen, cancelled; and who may change that."""
