"""From an app's own browser (WeChat's, Alipay's) to the phone's: what cannot be paid in the one is paid in the other.

The browser of an app has the session's cookie, the phone's own has not, and "open in browser" hands over the address
alone. So the page that explains it stands under an address with a link that opens the cashier once: opened again
inside an app it explains again and uses nothing up; anywhere else it opens the cashier.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import sessions
from yimatong.access.caller import PLATFORM
from yimatong.payments.cashier import service
from yimatong.web.cashier.device import device_of
from yimatong.web.cashier.remembering import is_large
from yimatong.web.cashier.showing import desk_of, look
from yimatong.web.cashier.standing import till_of
from yimatong.web.page import KINDS, Page

LINK_S: Final = 600
_PATH: Final = "/cashier/elsewhere"


@post(_PATH, session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def go_elsewhere(page: NamedDependency[Page]) -> Response[None]:
    """Make the link, and close what is open at a channel, so that she can choose there; a kiosk stays where it is."""
    till = till_of(page)
    if till.kiosk:
        return page.go("/cashier")
    if (await look(page)).stand.face == "wait":
        await service.take_back(desk_of(page), till.order_no, scope=PLATFORM, now=page.now)
    link = await page.write(
        lambda tx: sessions.make_link(tx, subject=page.subject, purpose="cashier", lifetime_s=LINK_S, now=page.now)
    )
    return page.go(f"{_PATH}/{link}")


@get(f"{_PATH}/{{link:str}}", permission="cashier:open", opt={"public": True}, include_in_schema=False)
async def arrive(link: FromPath[str], page: NamedDependency[Page]) -> Response[Any]:
    """Explain the way inside an app; in any other browser use up the link and open the cashier.

    Raises:
        LinkEnded: unknown, used or too old, where it would be used.
    """
    if device_of(page.request.headers.get("user-agent", "")).inside:
        return page.html("cashier/elsewhere.html", base="shared/base.html", kiosk=False, large=is_large(page))
    token = await page.write(
        lambda tx: sessions.open_link(tx, link, purpose="cashier", lifetime_s=KINDS["cashier"].lifetime_s, now=page.now)
    )
    return page.go("/cashier", page.session_cookie("cashier", token))


ROUTES = [go_elsewhere, arrive]
