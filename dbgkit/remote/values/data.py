"""Arrays and frames in a bounded text: of numpy, pandas, pyarrow, xarray and others.

Only what is loaded already is known: these libraries are never imported from here.
"""

from __future__ import annotations

import sys
from typing import Any

from ..common.objects import Teller
from .arrays import describe_numpy
from .labelled import describe_sparse, describe_torch, describe_xarray
from .tables import describe_arrow, describe_pandas

_LIBRARIES = (
    ("numpy", describe_numpy),
    ("pandas", describe_pandas),
    ("pyarrow", describe_arrow),
    ("xarray", describe_xarray),
    ("scipy.sparse", describe_sparse),
    ("torch", describe_torch),
)


def describe_data(value: Any, teller: Teller) -> str | None:
    """The text of an array, frame or scalar of these libraries; None of others."""
    for library, describe in _LIBRARIES:
        if library in sys.modules:
            found = describe(value, type(value), teller)
            if found is not None:
                return found
    return None
