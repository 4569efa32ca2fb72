"""What the scorecard asks for: of each number, what is done and which figure is to be reached."""

from __future__ import annotations

__all__ = ["ITEMS"]

# The numbers are those of the project's list of failures, which has more for features to come.
ITEMS = {
    1: (
        "Submit from 8 threads while the pool closes",
        "200 rounds, and no future is unresolved 1 s after",
    ),
    2: (
        "`SystemExit` and its like in a task and in a callback",
        "the caller gets it within 0.1 s, 100 bystanders are well, no loop is lost",
    ),
    3: (
        "10,000 calls with keys, and every half second a worker is killed",
        (
            "with `resubmits` none is lost, and only what had started runs again; without, only what had "
            "started is lost, and nothing runs twice"
        ),
    ),
    4: (
        "The interpreter exits with 1,000 pending tasks, each with a `finally`",
        "within 2 s, with the right status, 99 % of the `finally` blocks run, nothing on stderr",
    ),
    5: (
        "Close with tasks that swallow cancellation or block the loop",
        "within the grace and half a second, every future settled, the report names them",
    ),
    6: (
        "Cancel at a random instant, 20,000 times",
        "nothing that was done is called cancelled, nothing cancelled starts after all",
    ),
    7: (
        "2,000 timeouts, of tasks that obey, swallow it or block their loop",
        "tasks ended at most 50 ms after expiry (p99), or the error says `still_running`",
    ),
    8: (
        "What cannot be pickled, or not be made again: arguments, results and errors",
        "the caller is told within half a second, bystanders are well, no worker is replaced",
    ),
    11: (
        "The pool's process is killed",
        "its workers are gone within 1 s, and leave no process and no file",
    ),
    12: (
        "Model check: threads interleaved in every way that matters",
        "all interleavings hold, and bugs that are put in on purpose are found",
    ),
    13: (
        "Random sequences of the public API",
        "300 examples of 30 steps, no violation",
    ),
    14: (
        "A synchronous wait on a pool's own loop; A→B→A awaited with limit 1; 1,000 parents at the limit",
        "`BlockingCall` within 0.1 s; what is awaited succeeds, no hang",
    ),
    15: (
        "Map of 1,000,000 items with a slow consumer or a stuck first item, ordered and not",
        "memory grows by less than 30 MiB; at most the window is pulled and not delivered",
    ),
    16: (
        "A worker is stopped (SIGSTOP) under load: for 10 s, and for ever",
        (
            "at most 8 MiB are sent to it, the others keep up 80 % of their throughput, it is replaced "
            "within `stall_limit` and 1 s, nothing comes twice when it goes on"
        ),
    ),
    17: (
        "A task that kills its worker, with others in flight beside it",
        "at most 3 workers are killed, then `PoisonTask`; the others finish",
    ),
    19: (
        "Errors that nobody collects",
        "each is logged once, with the place it was submitted from",
    ),
    20: (
        "Look for leaks after every test",
        (
            "threads, descriptors and child processes are back to what they were; after the whole run no "
            "process and no temporary file is left"
        ),
    ),
    21: (
        "500 pools opened, used and closed in one program",
        (
            "no descriptor and no thread more, and less than 2 kB of memory for each after the first 100, "
            "but for what CPython keeps of sub-interpreters"
        ),
    ),
    25: (
        "Fork in a program with a live pool",
        (
            "the child gets `ForkedPool` within 0.1 s and wakes nothing of its parent's, which is unharmed; "
            "where there are interpreters the fork is warned of"
        ),
    ),
    26: (
        "200 programs with loops in sub-interpreters, from start to exit",
        "no crash, no hang",
    ),
    29: (
        "Ctrl-C once and twice, SIGTERM, at random instants",
        "once: clean end within the grace; twice: within half a second; no hang, and workers say nothing",
    ),
    30: (
        "Submit from a signal handler and from `__del__` in the middle of a submit, 100,000 times",
        "no deadlock",
    ),
    31: (
        "What comes from a worker is torn, too large or no frame; or it dies right after its answers",
        (
            "a new worker within 1 s, no hang, no memory for what is only announced; no answer that had "
            "arrived is dropped, 500 times"
        ),
    ),
    32: (
        "No descriptor, no thread, a failing lifespan at start-up, at each k-th",
        "a clear error, everything given back, no hang",
    ),
    33: (
        "Async generators, lifespans and context managers at close",
        "closed on the thread of their own loop, all of them",
    ),
    34: (
        "Garbage collection all the time, 5,000 calls whose futures are dropped",
        "none destroyed while pending, no `finally` in a foreign thread",
    ),
    35: (
        "Traceback of an error after 1,000 `result()` calls",
        "at most 10 frames, cause kept",
    ),
    36: (
        "A timer while 300,000 submissions wait",
        "99 % less than 20 ms late",
    ),
    39: (
        (
            "Context variables, by every way of calling: to the call, back, to the next one, to what a loop "
            "owns"
        ),
        "as documented, 100 %",
    ),
    40: (
        "Loops on a Ray cluster: one is killed, calls are cancelled, time out, or cannot be pickled",
        "promises P1 to P7, or a difference that is documented",
    ),
}
