"""The exams of the named lines that are over (tests/profiles/README.md): tuned on now, they keep what was learned."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from leakwarden.core.profile.evidence import Confidence
from leakwarden.core.profile.possibility import MAYBE
from tests.profiles.building import FIXTURES
from tests.profiles.unseen import Judged, judge, read

pytestmark = pytest.mark.slow

# Services that leak, and all services.
EXAMS = {
    "exam": (30, 41),
    "exam2": (14, 19),
    "exam3": (16, 24),
    "exam4": (25, 35),
    "exam5": (23, 29),
    "exam6": (14, 22),
    "exam7": (19, 26),
    "cases": (10, 12),
}


@cache
def judged(exam: str) -> tuple[Judged, ...]:
    with TemporaryDirectory() as scratch, tarfile.open(FIXTURES / f"{exam}.tar.xz") as packed:
        packed.extractall(scratch, filter="data")
        return tuple(judge(known) for known in read(Path(scratch) / exam))


@pytest.mark.parametrize("exam", EXAMS)
def test_the_line_that_leaks_is_named_first_and_nothing_is_passed_over(exam: str) -> None:
    leaking = [each for each in judged(exam) if each.known.leaks]
    assert (len(leaking), len(judged(exam))) == EXAMS[exam]
    assert [each.known.name for each in leaking if not each.first_right(each.operator)] == []
    assert [each.known.name for each in leaking if not (each.command.suspects and each.operator.suspects)] == []


@pytest.mark.parametrize("exam", EXAMS)
def test_no_healthy_service_is_named_with_more_than_low(exam: str) -> None:
    healthy = [each for each in judged(exam) if not each.known.leaks]
    assert healthy
    said = [
        (each.known.name, one.confidence)
        for each in healthy
        for one in (*each.command.suspects, *each.operator.suspects)
    ]
    assert [name for name, confidence in said if confidence is not Confidence.LOW] == []


@pytest.mark.parametrize("exam", EXAMS)
def test_a_first_line_is_right_as_often_as_its_confidence_says(exam: str) -> None:
    said = [(each, each.operator.suspects[0]) for each in judged(exam) if each.operator.suspects]
    sure = [
        (each.known.name, each.first_right(each.operator)) for each, s in said if s.confidence is not Confidence.LOW
    ]
    assert [name for name, right in sure if not right] == []
    assert len(sure) >= 8, "most leaks are more than a guess"


KINDS = {
    "exam": {
        "minio_object_open": "minio.Object not closed",
        "k8s_watch_not_stopped": "watch not stopped",
        "sql_rows_open": "rows not closed",
        "afterfunc_not_stopped": "entries that checkout.Desk keeps and never removes",
    },
    "exam2": {
        "context_afterfunc_kept": "context.AfterFunc never stopped",
        "finalizer_blocked": "a finalizer or cleanup that waits",
        "sse_subscriber_kept": "what is registered here is never taken out",
    },
    "exam3": {
        "dispatch": "AMQP listener registered over and over",
        "ingest": "a context that is made of the one before, again and again",
        "probe": "Wait of a command hangs on its output",
        "gatekeeper": "rate limiters that are kept for every key",
    },
    "exam4": {
        "beds": "write transaction of go-memdb not ended",
        "bedside": "entries of connections that a ConnState hook keeps",
        "charts": "bbolt transaction not rolled back",
        "claims": "circuit breakers with ever new names",
        "notes": "esutil.BulkIndexer not closed",
        "orders": "a trace that is never finished",
        "payouts": "entries that are kept and never removed",
        "people": "a data loader whose cache only grows",
        "pharmacy": "Vault lease watcher (renewer) not stopped",
        "placement": "event handler of an informer never removed",
        "portal": "values of a request that are never cleared",
        "ring": "a lock that is most likely taken twice by one goroutine",
        "shell": "a read or write of a file, pipe or terminal that does not return",
        "signin": "ldap.Conn not closed",
        "televisit": "webrtc.PeerConnection not closed",
        "triage": "Sentry client for every report",
        "vehicle": "MQTT client not disconnected",
        "vitals": "metrics.Meter not stopped",
    },
    "exam5": {
        "access": "casbin.SyncedEnforcer whose StartAutoLoadPolicy is never ended (StopAutoLoadPolicy)",
        "billing": "entries that main.Books keeps and does not remove on every path",
        "boards": "a lock of boards.Store that is not released (RLock without RUnlock)",
        "catalog": "iter.Pull without its stop",
        "inbox": "client.Client (go-imap) not closed",
        "live": "what ended requests of live.Hub.stream leave behind",
        "lockers": "Consul watch or cluster member not stopped",
        "quotes": "ldclient.LDClient not closed",
        "render": "tasks of one errgroup.Group that wait in its own Go",
        "scales": "entries that are kept, most likely in what bus.Ask uses: MQTT subscription never ended",
        "telemetry": "api.WriteAPIImpl (influxdb-client-go) not closed",
        "thumbs": "entries that thumbs.Maker keeps and never removes",
        "track": "entries that are kept and never removed, possibly in sse: event stream made and never removed",
    },
    "exam6": {
        "bestquote": "channel send that nobody receives: race.First has left its senders",
        "bulk": "a loop over a channel that is never closed (crew.Hire)",
        "chatroom": "a loop over a channel that is never closed (chat.client.writePump)",
        "checkout": "OpenTelemetry batch processor (or reader) not shut down, by itself or with its provider",
        "dispatch": "channel send that nobody receives: what reads the channel of retry.Queue has gone, or waits itself",
        "manifests": "zstd.Decoder not closed",
        "voyages": "contexts that are never cancelled, with their values (made in stopper.Stopper.Attach)",
    },
    "exam7": {
        "leases": "a loop on a ticker that never ends",
        "shelf": "what minio-go.Client.ListObjects sends is not read to its end",
        "tracker": "channel send that nobody receives: the reader of what fanout.Hub.Watch started has left",
    },
}


@pytest.mark.parametrize("exam", KINDS)
def test_the_kind_is_told_in_the_words_of_the_thing(exam: str) -> None:
    known = [each for each in judged(exam) if each.known.name in KINDS[exam]]
    assert {each.known.name: each.operator.suspects[0].title.removeprefix(MAYBE) for each in known} == KINDS[exam]


@pytest.mark.parametrize("exam", EXAMS)
def test_only_what_is_low_reads_as_a_possibility(exam: str) -> None:
    said = [one for each in judged(exam) for one in (*each.command.suspects, *each.operator.suspects)]
    assert {one.title.startswith(MAYBE) for one in said if one.confidence is Confidence.LOW} == {True}
    assert not any(one.title.startswith(MAYBE) for one in said if one.confidence is not Confidence.LOW)
