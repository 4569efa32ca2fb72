"""``python -m polyloop``: the same as the command ``polyloop``.

It is not a second command line, only another way in. ``python -m`` puts the current directory before the
standard library, where a file of the user's would be imported instead of a module of the same name. It
is taken out again here; what the package itself imports has been imported by then, and is only safe
with ``python -P -m polyloop`` or by the command.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]

    from .cli import main

    sys.exit(main())
