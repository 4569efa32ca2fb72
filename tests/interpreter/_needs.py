"""Where the tests of this folder can run."""

from __future__ import annotations

import sys

import pytest

__all__ = ["HAS_INTERPRETERS", "needs_interpreters"]

HAS_INTERPRETERS = sys.version_info >= (3, 14)
"""Whether this Python has ``concurrent.interpreters``."""

needs_interpreters = pytest.mark.skipif(
    not HAS_INTERPRETERS, reason="concurrent.interpreters came with Python 3.14"
)
