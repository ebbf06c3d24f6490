"""A client of the yimatong platform's native API: signs requests, checks answers, retries safely.

>>> from yimatong_sdk import Client
>>> client = Client("http://127.0.0.1:8420", caller_id="...", secret_hex="...")   # doctest: +SKIP
>>> client.verify_code("....:0:....", purpose="visit")["resident"]["name"]        # doctest: +SKIP
"""

from yimatong_sdk.client import Client
from yimatong_sdk.errors import AnswerNotGenuine, ApiError, PlatformUnreachable, YimatongError
from yimatong_sdk.signing import Signer

__all__ = ["AnswerNotGenuine", "ApiError", "Client", "PlatformUnreachable", "Signer", "YimatongError"]
