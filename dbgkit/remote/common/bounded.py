"""A buffer with a maximum size, to pickle into."""

from __future__ import annotations

import io
from typing import Any


class TooLarge(Exception):
    """There is more than the buffer takes."""


class Bounded(io.BytesIO):
    """Raises `TooLarge` at the write that would be too much; keeps what came before."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.most:
            raise TooLarge
        return super().write(data)
