"""What becomes of the calls that had started on a worker which is lost.

Any of them may have killed it, or none. A call that was lost twice is suspected of it, and runs with nothing
beside it from then on: so a killer is convicted by what it does alone, and nobody is convicted with it.

It decides, and does nothing: it counts no loss and settles no call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._messages import Call

__all__ = ["SUSPICIOUS", "Verdict", "is_suspect", "judge"]

# From so many losses on a call is a suspect. Not from the first: most workers are lost through no fault of
# a call (out of memory, a deployment), and what runs alone costs a worker. Not from the third: with the one
# that convicts it, a killer would cost four workers.
SUSPICIOUS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of them: each is in one of the lists, in the order in which they were given.

    Attributes:
        lost: They fail, because their worker was lost.
        poison: They fail, because they have killed it.
        again: They run again; once this loss is counted, `is_suspect` tells which of them alone.
    """

    lost: list[Call]
    poison: list[Call]
    again: list[Call]


def judge(started: Sequence[Call], *, goes_on: bool = True) -> Verdict:
    """Decide for all that had started on the worker.

    Args:
        started: The calls; their ``losses`` do not count this one yet.
        goes_on: Whether anything runs again: not when the pool is told to leave.
    """
    verdict = Verdict([], [], [])
    is_alone = len(started) == 1
    for call in started:
        if is_alone and _is_convicted(call):
            verdict.poison.append(call)
        elif goes_on and call.losses < _resubmits(call) and not call.is_cancelling:
            verdict.again.append(call)
        else:
            verdict.lost.append(call)
    return verdict


def is_suspect(call: Call) -> bool:
    """Whether a call has to run alone."""
    return call.losses >= SUSPICIOUS


def _is_convicted(call: Call) -> bool:
    """Whether a call whose worker was lost while nothing ran beside it is the reason of that."""
    if call.is_cancelling:
        return False  # who asked it to stop hears that the worker died meanwhile
    # With a single resubmit it can never be tried alone. When it was alone by chance the second time, then
    # "it kills its workers" tells its caller more than "its worker was lost", after which one submits again.
    return is_suspect(call) or call.losses == _resubmits(call) == 1


def _resubmits(call: Call) -> int:
    return 0 if call.options is None else call.options.resubmits
