"""The address of the page that a recorder shows on its scheduler's HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from dbgkit.cluster.clients import dashboard_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import PagePlace


def page_link(client: Any, place: PagePlace | None) -> str:
    """Where the page is opened; empty if there is none, or no way to it is known.

    It is next to Dask's dashboard, whose link may lead through a proxy.
    """
    if place is None or client is None:
        return ""
    link = dashboard_of(client, place["port"])
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
