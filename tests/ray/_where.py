"""What the command line runs on the nodes."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any


async def where(item: str) -> tuple[str, str]:
    """The item, after a little waiting, and the node that this was on."""
    await asyncio.sleep(0.001)
    ray: Any = importlib.import_module("ray")
    return item, ray.get_runtime_context().get_node_id()
