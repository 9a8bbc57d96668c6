"""Further Pythons, in which what was saved in this one is opened.

``DBGKIT_TEST_PYTHONS`` names them: paths, separated as in ``PATH``, of Pythons that
have dbgkit's dependencies. The one that runs these tests is left out.
"""

from __future__ import annotations

import os
import sys

import pytest

_NAMED = os.environ.get("DBGKIT_TEST_PYTHONS", "").split(os.pathsep)
OTHERS = [each for each in _NAMED if each and each != sys.executable]
needs_others = pytest.mark.skipif(
    not OTHERS, reason="no further Pythons: see DBGKIT_TEST_PYTHONS"
)
