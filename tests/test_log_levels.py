"""A worker's loggers have the levels of the pool's process, and one handler."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from polyloop._log_levels import levels_here
from tests._processes import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Names of loggers that the test may set."""
    names = ["tests.levels.one", "tests.levels.two"]
    yield names
    logging.disable(logging.NOTSET)
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_the_levels_here_are_those_that_somebody_has_set(names: list[str]) -> None:
    """Loggers that follow others are not among them, nor names that only have loggers below them."""
    one, two = map(logging.getLogger, names)
    one.setLevel(5)
    logging.disable(3)

    levels = levels_here()

    assert (levels.disabled, levels.root) == (3, logging.root.level)
    assert levels.others[one.name] == 5
    assert not {two.name, "tests.levels"} & levels.others.keys()


PROGRAM = """
import logging
from polyloop._log_levels import Levels, adopt_levels

# As the import of a program may leave them.
logging.basicConfig(level="DEBUG")
quiet, loud, gone = (logging.getLogger(f"tests.{name}") for name in ("quiet", "loud", "gone"))
quiet.addHandler(logging.StreamHandler())
quiet.propagate = False
loud.setLevel(1)
gone.disabled = True

handler = logging.NullHandler()
adopt_levels(Levels(disabled=7, root=20, others={"tests.quiet": 30, "tests.new": 10}), handler)

assert logging.root.manager.disable == 7
assert logging.root.handlers == [handler]
assert [logger.handlers for logger in (quiet, loud, gone)] == [[], [], []]
assert quiet.propagate and not gone.disabled
levels = [logger.getEffectiveLevel() for logger in (quiet, loud, gone, logging.getLogger("tests.new"))]
assert levels == [30, 20, 20, 10], levels
"""


def test_loggers_are_set_up_anew() -> None:
    """Whatever was set before: one handler, at the root, and the levels of the other process."""
    ended = run_python(PROGRAM)

    assert (ended.status, ended.errors) == (0, "")
