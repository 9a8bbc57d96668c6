"""Wire forms: what crosses between processes, in builtin types only.

Each form is declared once, as a `TypedDict`: type checkers read it on both sides, and
what arrives at the client is checked against it (``dbgkit.cluster.shapes``). A text in
`Annotated` names the check of what a type alone does not say.

``dbgkit.remote`` imports these files under ``TYPE_CHECKING`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

# A task's key, of which Dask can make a name; None where there is none.
Key = Annotated[Any, "key"]
# What somebody has asked for as a key: it need not be one.
Asked = Annotated[Any, "asked"]
Count = Annotated[int, "count"]
# A plain float may be infinite; this one is finite, and somebody may have measured it.
Number = Annotated[float, "number"]
# Bytes; libraries may report them as numbers of their own.
Size = Annotated[int, "number"]
# Seconds since 1970.
Moment = Annotated[float, "moment"]
# What a configuration has.
Scalar = Annotated[str | int | float | None, "scalar"]
# Any mapping: whoever reads it looks at it.
Mapped = Annotated[Any, "mapping"]
# What ``distributed.core.clean_exception`` makes an exception of.
Raised = Annotated[Any, "exception"]
# Whoever answers one knows more of it.
AnyQuestion = Mapping[str, Any]
# State -> how many tasks.
States = dict[str, Count]


class PagePlace(TypedDict):
    """``scheduler.dashboard_place.page_of``: a page on the scheduler's HTTP server."""

    path: str
    port: Count


class SpanForm(TypedDict):
    """The time that a look took."""

    start: Moment
    end: Moment


class Foresee(TypedDict, total=False):
    """Names by which to answer what is bound to be asked next: ``foresight``."""

    recorder: str
    deaths: str
    nbytes: int
    probe: bytes
    limit: float
    key: Any
