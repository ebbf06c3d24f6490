"""UnionPay, all-channel platform (全渠道) 5.1.0, for directly connected merchants (open.unionpay.com)."""
