"""What one program can feed: how many calls a second, from what a call costs. Arithmetic, and nothing else.

A pool is a line of stations: the program that hands calls in and takes outcomes, the loops that run them,
and the places that there are for calls under way. The slowest one decides. (This is the bottleneck bound of
operational analysis, with Little's law for the places: Denning and Buzen, "The Operational Analysis of
Queueing Network Models", 1978. It is an upper bound: where two stations are about as slow as each other
there is less.)
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEW", "Call", "Costs", "Price", "ceilings", "loops_for", "throughput"]

FEW = 10
"""Calls under way for each loop, of which hardly two travel together."""


@dataclass(frozen=True, slots=True)
class Price:
    """CPU that a call takes on one side beside its own work, in seconds.

    Attributes:
        call: For each call, when many are under way and travel together.
        alone: More, when few are.
        byte: For each byte of its argument.
    """

    call: float
    alone: float
    byte: float

    def of(self, size: int, each: float) -> float:
        """For a call with so many bytes, and so many under way for each loop."""
        # How many travel together is taken for a part of how many are under way, always the same one.
        return self.call + self.alone * min(1.0, FEW / each) + self.byte * size


@dataclass(frozen=True, slots=True)
class Costs:
    """What a call takes on one backend beside its own work.

    Attributes:
        program: In the program, which is one core: it has a GIL.
        loop: In a loop, which is another one.
        way: Seconds there and back, when nothing else is under way.
    """

    program: Price
    loop: Price
    way: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a call does itself.

    Attributes:
        cpu: Seconds that it computes.
        wait: Seconds that it waits, with its loop free for others.
        size: Bytes of its argument.
    """

    cpu: float = 0.0
    wait: float = 0.0
    size: int = 0


def ceilings(
    costs: Costs, call: Call, *, loops: int, each: float, cores: int | None = None
) -> dict[str, float]:
    """The most calls a second that each station lets through.

    Args:
        costs: Of the backend.
        call: What each call is.
        loops: How many there are, each with a core.
        each: Most calls under way, for each loop.
        cores: How many the program and its loops share, if they are on one machine.
    """
    program = costs.program.of(call.size, each)
    loop = costs.loop.of(call.size, each) + call.cpu
    found = {
        "program": 1 / program,
        "loops": loops / loop,
        "places": loops * each / (costs.way + call.cpu + call.wait),
    }
    if cores is not None:
        found["cores"] = cores / (program + loop)
    return found


def throughput(costs: Costs, call: Call, *, loops: int, each: float, cores: int | None = None) -> float:
    """Calls a second: see `ceilings`."""
    return min(ceilings(costs, call, loops=loops, each=each, cores=cores).values())


def loops_for(costs: Costs, call: Call, *, each: float) -> float:
    """How many loops, each with a core of its own, take all that one program can feed.

    Args:
        costs: Of the backend.
        call: What each call is.
        each: Most calls under way, for each loop.
    """
    one = ceilings(costs, call, loops=1, each=each)
    return one["program"] / min(one["loops"], one["places"])
