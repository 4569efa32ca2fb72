"""What there is of a Ray cluster, for `polyloop doctor`: a program of its own, run as a process of its own.

Ray cannot be told how long it may try to connect; a process can be ended. It prints its findings as JSON,
or nothing, and says why on standard error. It starts no cluster. It knows nothing of polyloop.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from typing import Any


def main() -> None:
    """Look at the cluster that the first argument names."""
    ray: Any = importlib.import_module("ray")
    try:
        ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why there is nothing to see
        sys.exit(" ".join(str(error).split()))
    nodes = [node for node in ray.nodes() if node["Alive"]]
    cpus = sum(node["Resources"].get("CPU", 0) for node in nodes)
    print(json.dumps({"nodes": len(nodes), "cpus": cpus}))


if __name__ == "__main__":
    main()
