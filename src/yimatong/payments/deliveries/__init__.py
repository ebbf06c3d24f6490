"""Deliveries: who was told what of an order, when, and what became of it (平台异步推送支付结果)."""
