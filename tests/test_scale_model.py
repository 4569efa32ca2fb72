"""The model of what one program can feed, and the page that is made with it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._scale_model import FEW, Call, Costs, Price, ceilings, loops_for, throughput
from bench._svg import Dots, Panel, plot
from bench.scale_page import figures, picture, studies_in

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "scale.md"
COSTS = Costs(program=Price(20e-6, 80e-6, 2e-9), loop=Price(50e-6, 100e-6, 1e-9), way=0.001)

calls = st.builds(
    Call, cpu=st.floats(0, 1), wait=st.floats(0, 10), size=st.integers(min_value=0, max_value=10_000_000)
)


@pytest.mark.parametrize(
    ("call", "loops", "each", "station", "rate"),
    [
        (Call(wait=0.1), 100, 1000, "program", 1 / (20e-6 + 80e-6 / 100)),
        (Call(size=1_000_000), 100, FEW, "program", 1 / (100e-6 + 0.002)),
        (Call(cpu=0.01), 3, 1000, "loops", 3 / (0.01 + 50e-6 + 100e-6 / 100)),
        (Call(wait=0.099), 2, 50, "places", 2 * 50 / 0.1),
    ],
)
def test_the_slowest_station_decides(call: Call, loops: int, each: int, station: str, rate: float) -> None:
    """Which one that is, and how much it lets through, is what one works out by hand."""
    found = ceilings(COSTS, call, loops=loops, each=each)

    assert min(found, key=lambda name: found[name]) == station
    assert throughput(COSTS, call, loops=loops, each=each) == pytest.approx(rate)


@given(calls, st.integers(1, 1000), st.integers(1, 1000))
def test_more_loops_never_do_less_and_dearer_calls_never_more(call: Call, loops: int, each: int) -> None:
    """Whatever the calls are."""

    def rate(call: Call, loops: int, each: int) -> float:
        return throughput(COSTS, call, loops=loops, each=each)

    now = rate(call, loops, each)
    assert rate(call, loops + 1, each) >= now
    assert rate(call, loops, each + 1) >= now
    assert rate(Call(cpu=call.cpu + 0.1, wait=call.wait, size=call.size), loops, each) <= now
    assert rate(Call(cpu=call.cpu, wait=call.wait + 0.1, size=call.size), loops, each) <= now
    assert rate(Call(cpu=call.cpu, wait=call.wait, size=call.size + 1000), loops, each) <= now


@given(calls, st.integers(1, 1000))
def test_it_saturates_where_it_says(call: Call, each: int) -> None:
    """With so many loops the program is full, and more do not help; with fewer, as much less gets through."""
    wanted = loops_for(COSTS, call, each=each)
    full = ceilings(COSTS, call, loops=1, each=each)["program"]

    assert throughput(COSTS, call, loops=math.ceil(wanted), each=each) == pytest.approx(full)
    assert throughput(COSTS, call, loops=10 * math.ceil(wanted), each=each) == pytest.approx(full)
    fewer = int(wanted / 2)
    assert throughput(COSTS, call, loops=fewer, each=each) == pytest.approx(full * fewer / wanted)


def test_cores_that_are_shared_are_a_station() -> None:
    """Two cores do the work of program and loops one after the other; a hundred loops do not change that."""
    call = Call(cpu=0.001)

    apart = throughput(COSTS, call, loops=100, each=1000)
    together = throughput(COSTS, call, loops=100, each=1000, cores=2)

    assert apart == pytest.approx(1 / (20e-6 + 80e-6 / 100))
    assert together == pytest.approx(2 / (20e-6 + 50e-6 + 180e-6 / 100 + 0.001))


def test_dots_are_where_they_belong() -> None:
    """Powers of ten are as far from one another, and more is up."""
    dots = Dots("some", [(x, (y, y, y)) for x, y in ((1, 10), (10, 100), (100, 1000))])

    root = ET.fromstring(plot([Panel("title", dots=[dots])], "across", "up"))

    circles = [each.attrib for each in root.iter() if each.tag.endswith("circle")]
    across = [float(circle["cx"]) for circle in circles]
    down = [float(circle["cy"]) for circle in circles]
    assert across[2] - across[1] == pytest.approx(across[1] - across[0], abs=0.2)
    assert across[0] < across[1]
    assert down[1] - down[2] == pytest.approx(down[0] - down[1], abs=0.2)
    assert down[2] < down[1]


def test_the_page_shows_what_was_measured() -> None:
    """Its tables and its plot are made from the file beside it, and by the model as it is now."""
    document: dict[str, Any] = json.loads(PAGE.with_suffix(".json").read_text("utf-8"))

    assert figures(document) in PAGE.read_text("utf-8")
    assert picture(document) == PAGE.with_suffix(".svg").read_text("utf-8")
    for study in studies_in(document):
        for point in study.points:
            predicted = throughput(
                study.costs, point.call, loops=point.loops, each=point.each, cores=document["cores"]
            )
            assert point.predicted == pytest.approx(predicted)
