"""These tests are for ``make test-ray``, which installs Ray."""

from __future__ import annotations

from tests._open_pool import ON_RAY

collect_ignore_glob = [] if ON_RAY else ["test_*.py"]
