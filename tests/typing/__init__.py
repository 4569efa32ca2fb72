"""Type tests: checked by mypy and pyright, never run."""
