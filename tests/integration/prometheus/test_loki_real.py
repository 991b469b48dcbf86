"""A Loki of one process with its files in a folder: what is pushed to it is found by our query. Needs `loki` on PATH."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence

import pytest

from e2e.faults.served import Served, free_port
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.adapters.prometheus.loki import LokiLogs
from leakwarden.core.correlation.log_lines import LONGEST, log_evidence
from leakwarden.core.correlation.traffic import pod_names
from leakwarden.engine.ports import LogTail

LOKI = shutil.which("loki")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(LOKI is None, reason="needs loki (github.com/grafana/loki)")]

POD = "checkout-7d9fbdb6c5-x7k2z"
FULL = "accept4: too many open files; retrying in 1s"
CONFIG = """
auth_enabled: false
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {folder}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
  storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}
schema_config:
  configs:
    - {{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}
"""


class Loki(Served):
    ready_path = "/ready"

    def command(self) -> Sequence[str]:
        port = self.address.rpartition(":")[2]
        file = self._directory / "loki.yaml"
        file.write_text(CONFIG.format(http=port, grpc=free_port(), folder=self._directory))
        assert LOKI is not None
        return [LOKI, f"-config.file={file}"]

    def push(self, pod: str, lines: Sequence[tuple[float, str]], namespace: str = "shop") -> None:
        values = [[str(int(at * 1e9)), line] for at, line in lines]
        body = {"streams": [{"stream": {"namespace": namespace, "pod": pod}, "values": values}]}
        request = urllib.request.Request(
            f"{self.url}/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 204


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    running = Loki("loki", tmp_path_factory.mktemp("loki"))
    running.start()
    yield running
    running.stop()


async def ask(server: Loki, workload: str, since: float, until: float) -> LogTail:
    source = LokiLogs(Endpoint.model_validate({"name": "main", "url": server.url}))
    try:
        return await source.matching("shop", pod_names(workload), since, until)
    finally:
        await source.close()


async def test_known_errors_of_the_deployments_pods_are_found_cut_and_in_order(server: Loki) -> None:
    now = float(int(time.time()))
    since, until = now - 600, now
    server.push(POD, [(since + 60, FULL), (since + 61, "all is well"), (since + 62, f"EMFILE {'x' * 900}")])
    server.push("checkout-7d9fbdb6c5-b9d4c", [(since + 30, "dial tcp: CONNECTION REFUSED")])
    server.push("checkout-admin-7d9fbdb6c5-b9d4c", [(since + 30, FULL)])
    server.push(POD, [(since + 30, FULL)], namespace="bank")

    found = await ask(server, "checkout", since, until)

    assert not found.trouble
    assert not found.more
    texts = [line.partition(" ")[2] for line in found.lines]
    assert texts[:2] == ["dial tcp: CONNECTION REFUSED", FULL]
    assert len(texts) == 3
    assert len(texts[2]) <= LONGEST
    evidence = log_evidence(found.lines, since, until)
    assert {str(kind): list(times) for kind, times in evidence.times.items()} == {
        "ConnectionRefused": [since + 30],
        "TooManyOpenFiles": [since + 60, since + 62],
    }


async def test_no_line_of_a_known_error_is_an_answer_and_no_line_at_all_is_none(server: Loki) -> None:
    now = float(int(time.time()))
    server.push("stock-7d9fbdb6c5-x7k2z", [(now - 60, "all is well")])
    assert await ask(server, "stock", now - 600, now) == LogTail([])
    assert (await ask(server, "search", now - 600, now)).trouble == "it has no line of these pods in this time"
