"""Memory that is free again goes back to the system.

A tick uses many large arrays for a moment. By default glibc raises, up to 32 MiB, the size from which an allocation is a
mapping of its own, and keeps an arena for each thread: the arrays of a tick then lie between small objects that stay, and
a tenth to a quarter of the process's memory is free and not given back (mallopt(3)).

What is smaller than that stays in the heap, which is shortened at its end only. Free pages between objects that stay are a
fifth of the memory after a tick, and more where pods come and go, so they are given back every minute (malloc_trim(3)).
"""

from __future__ import annotations

import asyncio
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE = 1 << 20  # bytes; from here on an allocation is a mapping, which is given back at once
_TRIM = 4 << 20  # bytes at the end of the heap
_ARENAS = 2
TRIM_EVERY = 60.0  # s


def give_memory_back() -> bool:
    """To be called once, before threads begin. False where the C library has other means, as musl does."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _TRIM), (_M_ARENA_MAX, _ARENAS))
    done = [bool(mallopt(what, value)) for what, value in wanted]  # all of them, whether one is refused or not
    return all(done)


def trim() -> bool:
    """Give back the free pages between objects, which takes milliseconds. False where the C library cannot."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    malloc_trim(ctypes.c_size_t(0))
    return True


async def trim_regularly(every: float = TRIM_EVERY) -> None:
    """Without an end, every so many seconds; ends where the C library cannot."""
    while True:
        if not await asyncio.to_thread(trim):
            return
        await asyncio.sleep(every)
