"""The address of the page that a recorder shows on its scheduler's HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import PagePlace


def page_link(client: Any, place: PagePlace | None) -> str:
    """Where the page is opened; empty if there is none, or no way to it is known.

    It is next to Dask's dashboard, whose link may lead through a proxy.
    """
    if place is None or client is None:
        return ""
    link = _dashboard_link(client, place["port"])
    if not link.startswith(("http://", "https://")):
        return ""
    return beside(link, place["path"])


def beside(link: str, path: str) -> str:
    """The page's address, by that of the dashboard and the page's path there.

    >>> beside("https://hub/user/ann/proxy/8787/status", "/dbgkit")
    'https://hub/user/ann/proxy/8787/dbgkit'
    >>> beside("http://10.0.0.5:8787/status", "/prefix/dbgkit")
    'http://10.0.0.5:8787/prefix/dbgkit'
    """
    parts = urlsplit(link)
    base = parts.path.rstrip("/").removesuffix("/status")
    prefix, _, name = path.rpartition("/")
    if not base.endswith(prefix):  # Dask's own link leaves it out
        base += prefix
    return urlunsplit((parts.scheme, parts.netloc, f"{base}/{name}", "", ""))


def _dashboard_link(client: Any, port: int) -> str:
    """As ``Client.dashboard_link``, which may ask the scheduler, without a limit.

    A cluster manager knows of its proxies; Dask's own are configured as
    ``distributed.dashboard.link``.
    """
    from distributed.utils import format_dashboard_link

    try:
        link = getattr(client.cluster, "dashboard_link", None)
        if isinstance(link, str) and link:
            return link
        host = str(client.scheduler.address).partition("://")[2].rpartition(":")[0]
        if client.scheduler.address.startswith("inproc:"):
            host = "localhost"
        return str(format_dashboard_link(host or "localhost", port))
    except KeyError:  # a variable of the template is not set here
        return ""
