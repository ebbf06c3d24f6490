"""Payers that are reached by our own signed JSON protocol (docs/spec/credit-payment.md, commercial-insurance.md).

Credit schemes and commercial insurers publish no common wire standard; what both protocols share stands here.
"""
