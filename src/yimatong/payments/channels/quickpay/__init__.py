"""Quick payment (快捷支付) by a bound bank card, and the tokens of two-in-one codes (二码合一)."""
