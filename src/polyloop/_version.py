"""The version of this source, which the package is built with.

In the source, for installed metadata may be missing where a worker runs, and reading it takes long.
"""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
