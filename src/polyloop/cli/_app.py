"""What can be typed: the commands, their arguments and their help.

It only takes words apart. Each command's work is in a module of its own, which is imported when the
command runs: ``polyloop doctor`` has to work where half of the rest is broken.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer
import typer.main

import polyloop

from . import INTERRUPTED, WRONG_USAGE
from ._backend import Backend
from ._inputs import Format
from ._wrong_usage import WrongUsage

__all__ = ["run"]

# Typer does not say where its base class of wrong usage lives; it has moved before.
TyperError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])

# Joined to one line a paragraph: typer would keep other line breaks.
MAP_HELP = (
    "Run a coroutine function over every item of an input, on many event loops.\n\n"
    "An item is a line of text, a JSON value (.jsonl, .ndjson) or a row of a CSV file with a header "
    "(.csv), as an object. Empty lines are passed over.\n\n"
    'For each item one line of JSON is written: its "index" from 0, the "item", and its "result" or '
    'its "error" with "type" and "message". Bytes are written as text if they are UTF-8, otherwise as '
    '{"base64": "..."}.\n\n'
    "Exit status: 0 all well, 1 some items failed, 2 wrong usage, 130 after Ctrl-C."
)

BACKEND_HELP = "Where the loops live; auto is threads without a GIL, and processes with one."

app = typer.Typer(
    help="Many asyncio event loops behind one small API.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # an error of ours should look like one, whole and copyable
)


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit status. Wrong usage is told in one sentence."""
    command = typer.main.get_command(app)
    try:
        status = command.main(arguments or ["--help"], prog_name="polyloop", standalone_mode=False)
    except TyperError as error:
        return _refuse(error.format_message())
    except (WrongUsage, polyloop.PolyloopError) as error:
        return _refuse(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return cast("int", status or 0) if arguments else WRONG_USAGE


def _refuse(message: str) -> int:
    print("polyloop:", " ".join(message.split()), file=sys.stderr)
    return WRONG_USAGE


def _print_version(is_asked_for: bool) -> None:
    if is_asked_for:
        print("polyloop", polyloop.__version__)
        raise typer.Exit


@app.callback()
def _polyloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("map", help=MAP_HELP)
def _map(  # noqa: PLR0917 - typer gives them all by keyword
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:FUNCTION", help="The coroutine function, called once for each item."),
    ],
    source: Annotated[
        str, typer.Argument(metavar="[INPUT|-]", help="A file of items; - or nothing is standard input.")
    ] = "-",
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="OUTPUT", help="Where to write; - is standard output."),
    ] = "-",
    loops: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many event loops.", show_default="one per usable CPU, with ray of the cluster"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most items at a time on each loop.", show_default="1000 on all together"),
    ] = None,
    unordered: Annotated[bool, typer.Option("--unordered", help="Write results as they come.")] = False,
    app_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where MODULE is looked for, after all installed packages.")
    ] = Path(),
    input_format: Annotated[
        Format | None,
        typer.Option("--format", help="What INPUT consists of.", show_default="by its suffix, or text"),
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Give an object's fields as keyword arguments.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Run items with the same value in this field on the same loop."),
    ] = None,
    per_key: Annotated[
        int | None,
        typer.Option(min=1, help="Most items at a time with the same value of --key; 1 keeps their order."),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long Ctrl-C lets running items finish.")
    ] = 5.0,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long an item may take.", show_default="no limit"),
    ] = None,
    backend: Annotated[Backend, typer.Option(help=BACKEND_HELP)] = Backend.THREAD,
    resubmits: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="How often an item runs again when its worker was lost."),
    ] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|local|HOST:PORT",
            help="Which Ray cluster, with --backend ray; local starts one of this machine.",
            show_default="RAY_ADDRESS, or one that is found here, or local",
        ),
    ] = None,
) -> None:
    """Run a coroutine function over every item of an input."""
    from ._map import MapJob, run_map  # noqa: PLC0415 - see the module's docstring

    job = MapJob(
        target=target,
        source=source,
        output=output,
        loops=loops,
        limit=limit,
        is_ordered=not unordered,
        app_dir=app_dir,
        format=input_format,
        spread=spread,
        key=key,
        per_key=per_key,
        grace=grace,
        timeout=timeout,
        backend=backend,
        resubmits=resubmits,
        address=address,
    )
    raise typer.Exit(run_map(job))


@app.command("demo")
def _demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the results and the timeline are written.")
    ] = Path("polyloop-demo"),
    pages: Annotated[int, typer.Option(min=1, max=100_000, help="How many pages to crawl.")] = 1000,
    loops: Annotated[int, typer.Option(min=1, help="How many event loops.")] = 3,
    backend: Annotated[Backend, typer.Option(help=BACKEND_HELP)] = Backend.THREAD,
) -> None:
    """Nine one-second calls in one second, then a crawl of a real web server."""
    from ._demo import run_demo  # noqa: PLC0415 - see the module's docstring

    run_demo(folder, pages=pages, loops=loops, backend=backend)


@app.command("doctor")
def _doctor() -> None:
    """Say what this machine and this Python offer, and what to choose."""
    from ._doctor import run_doctor  # noqa: PLC0415 - see the module's docstring

    run_doctor()
