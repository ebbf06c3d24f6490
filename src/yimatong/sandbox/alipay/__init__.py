"""Alipay's open platform as a merchant meets it (openapi.alipay.com/gateway.do, RSA2, direct merchants).

``state`` keeps the books, ``agreements`` those of password-free payments, ``wire`` answers merchants, ``pages`` meets
the payer, ``notify`` sends notices, ``bill`` writes the bills of a day, ``control`` is the port by which tests make it
misbehave. Where public documents leave something open the simulator takes the harder case: a code that nobody scanned
stays payable after a cancel, and no trade exists before its payer arrives.
"""
