"""Loops on a Ray cluster, as in ``LoopPool(8, backend=polyloop.ray.Cluster())``. Needs the extra ``ray``."""

from ._cluster import Cluster

__all__ = ["Cluster"]
