"""Many asyncio event loops behind one small API.

    async with polyloop.LoopPool(3) as pool:
        body = await pool.run(fetch, url)

See `LoopPool`. Everything public is named here; modules with an underscore are not.
"""

from ._beside import check_cancelled
from ._current import current_pool
from ._errors import (
    BlockingCall,
    DeadlineExceeded,
    ForkedPool,
    LoopClosed,
    PoisonTask,
    PolyloopError,
    PoolBroken,
    PoolClosed,
    PoolFull,
    RemoteError,
    RemoteTraceback,
    StartupError,
    TaskCancelled,
    WorkerLost,
)
from ._future import Future
from ._group_view import GroupView
from ._local import Worker, current_worker
from ._loop_executor import LoopExecutor
from ._loop_local import LoopLocal
from ._loop_pool import LoopPool
from ._map import MapStream
from ._run import run
from ._share import share
from ._statistics import PoolStatistics, WorkerStatistics
from ._taskgroup import TaskGroup
from ._threadsafe import run_coroutine_threadsafe
from ._version import __version__ as __version__
from ._view import PoolView

__all__ = [
    "BlockingCall",
    "DeadlineExceeded",
    "ForkedPool",
    "Future",
    "GroupView",
    "LoopClosed",
    "LoopExecutor",
    "LoopLocal",
    "LoopPool",
    "MapStream",
    "PoisonTask",
    "PolyloopError",
    "PoolBroken",
    "PoolClosed",
    "PoolFull",
    "PoolStatistics",
    "PoolView",
    "RemoteError",
    "RemoteTraceback",
    "StartupError",
    "TaskCancelled",
    "TaskGroup",
    "Worker",
    "WorkerLost",
    "WorkerStatistics",
    "check_cancelled",
    "current_pool",
    "current_worker",
    "run",
    "run_coroutine_threadsafe",
    "share",
]
