"""WeChat Pay, API v3, as a merchant meets it (pay.weixin.qq.com, direct merchants).

``state`` keeps the books, ``wire`` answers merchants, ``pages`` meets the payer, ``notify`` sends notices, ``bill``
writes the daily trade bill, ``control`` is the port by which tests make it misbehave.
"""
