"""The process that parses policies' queries. One question per line on stdin, one answer per line on stdout, both JSON.

    question: [query, namespace, namespace label, pod label, whether it is about pods]
    answer:   {"query": ..., "never_objects": ...} or {"error": ...}

Its memory is bounded, and so is the processor time of each question: the kernel ends it where it takes more. The parent
then reads the end of the pipe, and starts another process.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from dataclasses import asdict

from leakwarden.core.promql import PromQLError, Question, ask


def answer(line: str) -> dict[str, str]:
    try:
        return asdict(ask(Question(*json.loads(line))))
    except PromQLError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "the query takes too much memory to be read"}


def main(seconds: float, memory: int) -> None:
    """`seconds` of processor time for one question; `memory` in bytes, of the whole process."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, even within the parser
        told = answer(line)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
