"""The user's own modules, for machines that do not have the folder they are in.

Only what was imported from there, and not the folder: that is the current one unless another was named, and
may be a home directory. And files that are imported there, not functions by value, as those of a main module
go: each call would find the globals of its module as they were here, and nothing that another call has set.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["own_modules"]


def own_modules(folder: Path) -> list[str]:
    """The files, and the directories of packages, that modules have been imported from in a folder."""
    places = {
        place
        for name, module in sys.modules.copy().items()
        if "." not in name and name != "__main__" and (place := _place_of(module)) is not None
    }
    return sorted(str(place) for place in places if place.parent == folder.resolve())


def _place_of(module: ModuleType) -> Path | None:
    """The directory of a package, or the source of another module."""
    for package in getattr(module, "__path__", ()):
        return _without_links(Path(package))
    file: str | None = getattr(module, "__file__", None)
    return _without_links(Path(file)) if file is not None and file.endswith(".py") else None


def _without_links(path: Path) -> Path:
    return path.parent.resolve() / path.name  # that one may be a link, but it has the module's name
