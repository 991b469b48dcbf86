"""Sends policies' queries to the process that parses them, and ends it where it takes too long.

The parser keeps Python's global lock while it works: in a thread of the operator it would stop the loop that renews the
Lease, and its memory would be the operator's. A process can be ended at any moment, and its memory goes with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict

from leakwarden.core.promql import Confined, PromQLError, Question

log = logging.getLogger("leakwarden.promql")

# Processor time for one question, s. The deepest query that is accepted takes a sixth of it (core/promql/text.py).
CPU_SECONDS = 2.0
# s to wait for an answer. The machine may be busy, so a timeout does not count as a judgement of the query.
PATIENCE = 30.0
MEMORY = 384 << 20  # bytes of address space; the interpreter and its libraries take a third of it
REMEMBERED = 4096  # answers; a policy is read again at each of its events
_CHUNK = 1 << 16


class ParserProcess:
    """Confines questions as `core.promql.ask` does. Several threads may use it; they wait for each other."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, patience: float = PATIENCE, memory: int = MEMORY) -> None:
        self._command = [
            sys.executable, "-P", "-m", "leakwarden.adapters.promql.worker", str(cpu_seconds), str(memory),
        ]  # fmt: skip
        self._cpu_seconds = cpu_seconds
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: OrderedDict[Question, Confined | str] = OrderedDict()

    def __call__(self, question: Question) -> Confined:
        """Raises PromQLError, and nothing else."""
        with self._lock:
            known = self._answers.get(question)
            if known is None:
                known = self._answers[question] = self._ask(question)
                if len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(question)
        if isinstance(known, str):
            raise PromQLError(known)
        return known

    def close(self) -> None:
        with self._lock:
            self._end()

    def _ask(self, question: Question) -> Confined | str:
        """The answer, or why there is none. Raises PromQLError for failures that do not depend on the query; they are
        not cached."""
        line = json.dumps(
            [question.query, question.namespace, question.namespace_label, question.pod_label, question.of_pods]
        )
        try:
            process = self._started()
            assert process.stdin is not None
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            body = self._line(process)
        except OSError as error:
            self._end()
            raise PromQLError(f"the query could not be read now: {error.strerror or type(error).__name__}") from None
        if body is None:
            self._end()
            log.warning("a query was not read in time", extra={"policy_namespace": question.namespace})
            raise PromQLError(f"the query was not read within {self._patience:g}s")
        if not body.endswith(b"\n"):
            code = self._end()
            log.warning("a query ended its parser", extra={"policy_namespace": question.namespace, "exit_code": code})
            if code == -signal.SIGPROF:
                return f"the query takes more than {self._cpu_seconds:g}s to read; write it simpler"
            return "the query takes too much memory to be read; write it simpler"
        told = json.loads(body)
        return str(told["error"]) if "error" in told else Confined(told["query"], told["never_objects"])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
            self._process = subprocess.Popen(  # noqa: S603
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment, start_new_session=True,
            )  # fmt: skip
        return self._process

    def _line(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """Its output up to the end of a line, or up to its own end; None where neither came in time."""
        assert process.stdout is not None
        deadline = time.monotonic() + self._patience
        body = b""
        while not body.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            piece = os.read(process.stdout.fileno(), _CHUNK)
            if not piece:
                break
            body += piece
        return body

    def _end(self) -> int | None:
        """Its exit code, negative for a signal; None where there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)  # it ends by itself once its input does
        process.kill()
        return process.wait()
