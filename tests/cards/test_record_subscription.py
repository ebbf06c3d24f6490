"""A resident is told of what happens to her own record, by the app that holds her account."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from yimatong_sdk import ApiError, Client

WHERE = {"url": "http://127.0.0.1:8490/persons"}


def test_her_app_subscribes_for_her_and_no_other(client: Callable[[str], Client], resident: SimpleNamespace) -> None:
    body = {"resident": vars(resident), "real_name": "police_online"}
    account = client("app-1").call("POST", "/api/v1/accounts", body)
    path = f"/api/v1/accounts/{account['vuid']}/record-subscription"
    made = client("app-1").call("POST", path, WHERE)
    assert (made["subscriber"], made["scope"], made["mpi_ref"]) == ("resident", "person", account["mpi_ref"])
    assert client("app-1").call("POST", path, WHERE) == made
    assert made in client("app-1").call("GET", "/api/v1/person-subscriptions")["subscriptions"]
    with pytest.raises(ApiError) as refused:
        client("app-2").call("POST", path, WHERE)
    assert refused.value.http_status == 404
    with pytest.raises(ApiError) as refused:
        client("app-1").call("POST", path, {"url": "http://169.254.169.254/"})
    assert refused.value.code == "ACC-4002"
    ended = client("app-1").call("POST", f"/api/v1/person-subscriptions/{made['subscription_id']}/end", {})
    assert ended["state"] == "ended"


def test_it_ends_with_her_account_and_a_freeze_keeps_it(
    client: Callable[[str], Client], resident: SimpleNamespace
) -> None:
    body = {"resident": vars(resident), "real_name": "police_online"}
    account = client("app-1").call("POST", "/api/v1/accounts", body)
    path = f"/api/v1/accounts/{account['vuid']}"
    made = client("app-1").call("POST", f"{path}/record-subscription", WHERE)

    def state() -> str:
        listed = client("app-1").call("GET", "/api/v1/person-subscriptions")["subscriptions"]
        return next(str(each["state"]) for each in listed if each["subscription_id"] == made["subscription_id"])

    client("app-1").call("POST", f"{path}/state", {"state": "frozen"})
    assert state() == "active"
    client("app-1").call("POST", f"{path}/state", {"state": "cancelled"})
    assert state() == "ended"
