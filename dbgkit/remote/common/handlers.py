"""Handlers that a server does not keep permanently."""

from __future__ import annotations

from typing import Any
from weakref import ref


class Handler:
    """Calls a method of its owner; answers None once that has been collected.

    Dask permanently keeps what has handled a message (``_expects_comm`` in
    distributed/core.py is cached). Those of one operation (``name``) are equal, so that
    it keeps one.
    """

    def __init__(self, name: str, owner: Any, method: str) -> None:
        self.__name__ = name
        self.owner = ref(owner)
        self.method = method

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)

    async def __call__(self, **message: Any) -> Any:
        owner = self.owner()
        return None if owner is None else await getattr(owner, self.method)(**message)


class CommHandler(Handler):
    """The same for a method that takes the comm itself: Dask goes by the first name.

    ``_expects_comm`` (distributed/core.py).
    """

    async def __call__(self, comm: Any, **message: Any) -> Any:  # type: ignore[override]
        owner = self.owner()
        return (
            None
            if owner is None
            else await getattr(owner, self.method)(comm, **message)
        )
