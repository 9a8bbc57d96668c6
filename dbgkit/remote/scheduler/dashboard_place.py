"""Where the page is on a scheduler's own HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    from ..common.wire import PagePlace

_SETTING = "dbgkit_page"  # of the application that serves it: its path
_KNOWN = "/health$"  # a page that each scheduler has (distributed/http/health.py)


def http_of(scheduler: Any) -> Any:
    """The application that serves Dask's own pages (distributed/node.py).

    It asks its ``applications`` (distributed/http/routing.py) for what it does not
    serve itself.
    """
    return scheduler.http_application


def prefix_of(http: Any) -> str:
    """What all paths begin with: ``--dashboard-prefix``.

    The scheduler does not keep it, so it is read off the path of a page of Dask's.
    """
    for rule in http.wildcard_router.rules:
        pattern = getattr(getattr(rule.matcher, "regex", None), "pattern", "")
        if pattern.endswith(_KNOWN):
            return str(pattern[: -len(_KNOWN)])
    return ""


def add_page(scheduler: Any, handler: type[RequestHandler], page: Any) -> Any:
    """Serve a page as ``dbgkit``, next to Dask's own; returns what `drop_page` takes.

    Its application comes first: one of Jupyter's would take any path.
    """
    http = http_of(scheduler)
    path = f"{prefix_of(http)}/dbgkit"
    settings = {_SETTING: path}
    application = Application([(path, handler, {"page": page})], **settings)
    http.applications.insert(0, application)
    return application


def drop_page(scheduler: Any, application: Any) -> None:
    """Serve it no longer."""
    applications = http_of(scheduler).applications
    if application in applications:
        applications.remove(application)


def has_dashboard(scheduler: Any) -> bool:
    """Whether Dask shows its own dashboard: Bokeh is there, and it is not turned off.

    Its application is of a subclass of Bokeh's (distributed/dashboard/core.py).
    """
    applications = http_of(scheduler).applications
    return any("bokeh" in type(each).__name__.lower() for each in applications)


def page_of(state: Any) -> PagePlace | None:
    """Path and port of the page; None where there is none, and in a dump."""
    if (http := getattr(state, "http_application", None)) is None:
        return None
    for application in http.applications:
        path = getattr(application, "settings", {}).get(_SETTING)
        if path is not None:
            return {"path": path, "port": state.http_server.port}
    return None
