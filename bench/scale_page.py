"""``python -m bench.scale_page PAGE``: measures `bench.scale`, and renews the page about it.

What was measured goes to a JSON file beside the page, the plot to an SVG file, and tables to between the
page's marks. With ``--again`` nothing is measured: they are made anew from the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from bench import scale
from bench._measure import aligned, spread
from bench._scale_model import Call, Costs, Price, ceilings, loops_for, throughput
from bench._svg import Dots, Line, Panel, plot
from bench.scale import Point, Study

__all__ = ["figures", "picture", "studies_in"]

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
NAMES = {"process": "processes", "ray": "Ray"}
# For plans: cores of a node, and what a loop's limit is unless it is set.
CORES_OF_A_NODE = 16
LIMIT = 1000


def figures(document: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    studies = studies_in(document)
    python, machine, rounds = document["python"], document["machine"], document["rounds"]
    parts = [
        f"Measured {document['day']}, CPython {python}, {machine}: median of {rounds} rounds (the range).",
        "What a call costs beside its own work:",
        _costs(studies),
    ]
    for study in studies:
        name = NAMES[study.backend]
        parts += [f"Calls a second, fed to loops in {name}; behind each, its part of the model's prediction:"]
        parts += [_fed(study)]
    for study in studies[-1:]:
        name = NAMES[study.backend]
        parts += [f"What one program can feed to loops in {name} that have a core each, by the model:"]
        parts += [_plan(study.costs)]
    return "\n\n".join(parts)


def picture(document: dict[str, Any]) -> str:
    """The plot, as SVG."""
    return plot(
        [_panel(study, document["cores"]) for study in studies_in(document)], "calls under way", "calls/s"
    )


def studies_in(document: dict[str, Any]) -> list[Study]:
    """What was measured, from its JSON."""
    return [
        Study(
            study["backend"],
            Costs(Price(**study["costs"]["program"]), Price(**study["costs"]["loop"]), study["costs"]["way"]),
            [dataclasses.replace(Point(**point), call=Call(**point["call"])) for point in study["points"]],
        )
        for study in document["studies"]
    ]


def _costs(studies: list[Study]) -> str:
    head = ["", "the program's CPU", "few under way", "a loop's CPU", "few under way", "there and back"]
    return aligned([head, *([NAMES[study.backend], *_prices(study.costs)] for study in studies)])


def _prices(costs: Costs) -> list[str]:
    def both(price: Price) -> list[str]:
        return [
            f"{price.call * 1e6:.0f} us and {price.byte * 1e9:.1f} ns a byte",
            f"{price.alone * 1e6:.0f} us more",
        ]

    return [*both(costs.program), *both(costs.loop), f"{costs.way * 1000:.1f} ms"]


def _fed(study: Study) -> str:
    lines = [["each call", "under way on each loop", *(scale.counted(loops) for loops in scale.LOOPS)]]
    for call, each in scale.KINDS:
        cells = [_cell(point) for point in study.points if (point.call, point.each) == (call, each)]
        lines.append([scale.described(call), f"{each:,}", *cells])
    return aligned(lines)


def _cell(point: Point) -> str:
    rate, low, high = spread(point.rates)
    volume = f", {rate * point.call.size / 1e6:,.0f} MB/s" if point.call.size else ""
    return f"{rate:,.0f} ({low:,.0f} to {high:,.0f}){volume}; {rate / point.predicted:.2f}"


def _plan(costs: Costs) -> str:
    lines = [["each call", "calls/s", "loops", f"nodes of {CORES_OF_A_NODE} cores"]]
    calls = [Call(cpu=cpu) for cpu in (0.001, 0.01, 0.1)] + [Call(wait=wait) for wait in (0.1, 1.0, 10.0)]
    for call in calls:
        loops = loops_for(costs, call, each=LIMIT)
        rate = ceilings(costs, call, loops=1, each=LIMIT)["program"]
        wait = f", {LIMIT:,} on each loop" if call.wait else ""
        nodes = f"{loops / CORES_OF_A_NODE:,.1f}"
        lines.append([scale.described(call) + wait, f"{rate:,.0f}", f"{loops:,.0f}", nodes])
    return aligned(lines)


def _panel(study: Study, cores: int) -> Panel:
    waits = list(dict.fromkeys(call.wait for call, _ in scale.WAITING))
    lines: list[Line] = []
    dots: list[Dots] = []
    for wait in waits:
        name = f"waiting {wait * 1000:g} ms"
        for shared in (None, cores):
            points = [
                (10 ** (step / 8), _predicted(study.costs, wait, 10 ** (step / 8), shared))
                for step in range(8, 41)
            ]
            lines.append(Line(name, points, is_dashed=shared is not None))
        dots.append(Dots(name, [_dot(point) for point in study.points if point.call == Call(wait=wait)]))
    return Panel(f"loops in {NAMES[study.backend]}", lines, dots)


def _predicted(costs: Costs, wait: float, at_once: float, cores: int | None) -> float:
    # As many on each loop as are fed together; how many loops that are does not matter where calls wait.
    return throughput(
        costs, Call(wait=wait), loops=max(scale.LOOPS), each=at_once / max(scale.LOOPS), cores=cores
    )


def _dot(point: Point) -> tuple[float, tuple[float, float, float]]:
    rate, low, high = spread(point.rates)
    return point.loops * point.each, (high, rate, low)


def _measured(rounds: int) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    return {
        "day": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{platform.system()}, {cores} cores ({platform.machine()})",
        "cores": cores,
        "rounds": rounds,
        "studies": [dataclasses.asdict(study) for study in scale.studies(rounds)],
    }


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale_page", description=__doc__)
    parser.add_argument("page", type=Path, metavar="PAGE")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (default: 7)")
    parser.add_argument("--again", action="store_true", help="from what was measured before")
    options = parser.parse_args()
    data = options.page.with_suffix(".json")
    if not options.again:
        data.write_text(json.dumps(_measured(options.rounds), indent=1) + "\n", "utf-8")
    document = json.loads(data.read_text("utf-8"))
    options.page.with_suffix(".svg").write_text(picture(document), "utf-8")
    head, _, rest = options.page.read_text("utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    options.page.write_text(f"{head}{BEGIN}\n{figures(document)}\n\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    _main()
