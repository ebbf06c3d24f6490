"""UnionPay, all-channel platform 5.1.0, as a merchant meets it (open.unionpay.com, direct merchants).

``authority`` holds its certificates, ``state`` keeps the books, ``cards`` the openings of quick payment, ``wire`` and
``back`` answer merchants, ``pages`` meets the payer, ``notify`` sends notices, ``settling`` writes the reconciliation
files, ``control`` is the port by which tests make it misbehave. What public sources leave open (the times of repeated
notices, what a query says of a reversed payment, 交易代码 in a file) is chosen here and said where it is chosen.
"""
