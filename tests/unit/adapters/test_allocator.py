"""Memory that a tick has used goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Arrays of 2 to 30 MiB in another thread, among small objects that stay; then the memory that is in use, in MiB.
_USE = """
import sys, threading
import numpy as np
from leakwarden.adapters.allocator import give_memory_back

if sys.argv[1] == "give":
    assert give_memory_back()
kept = []

def work():
    for n in range(1, 16):
        large = np.ones(n << 18)
        kept.append([bytes(1000) for _ in range(500)])
        del large
    held = [np.ones(3 << 18) for _ in range(10)]
    kept.append([bytes(1000) for _ in range(500)])

for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_large_arrays_are_given_back_when_they_are_free() -> None:
    used = {
        how: int(subprocess.run([sys.executable, "-c", _USE, how], capture_output=True, text=True, check=True).stdout)
        for how in ("give", "keep")
    }
    assert used["give"] < used["keep"] - 20, used


# Objects of 64 KiB, each beside a small one that stays.
_BETWEEN = """
import gc, sys
from leakwarden.adapters.allocator import give_memory_back, trim

def used():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

give_memory_back()
kept, passing = [], []
for _ in range(2000):
    passing.append(bytes(1 << 16))
    kept.append(bytes(2000))
passing.clear()
gc.collect()
before = used()
assert trim()
print(before - used())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_free_pages_between_objects_that_stay_are_given_back() -> None:
    given = subprocess.run([sys.executable, "-c", _BETWEEN], capture_output=True, text=True, check=True).stdout
    assert int(given) > 80
