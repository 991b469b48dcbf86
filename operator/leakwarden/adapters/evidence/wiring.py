"""Builds the profiler from the settings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.evidence.baselines import Baselines, CountStore
from leakwarden.adapters.evidence.bucket import Bucket, BucketLocation, mounted
from leakwarden.adapters.evidence.descriptors import PodDescriptors
from leakwarden.adapters.evidence.logs import PodLogs
from leakwarden.adapters.evidence.pools import Pools
from leakwarden.adapters.evidence.pprof import PprofClient
from leakwarden.adapters.evidence.profiler import EvidenceProfiler
from leakwarden.adapters.evidence.served import route
from leakwarden.adapters.evidence.store import Nowhere, Store
from leakwarden.adapters.evidence.volume import Volume
from leakwarden.adapters.evidence.ways import Straight, ThroughApiServer, Way
from leakwarden.engine.ports import Cluster, Metrics
from leakwarden.settings import Settings


@dataclass(frozen=True, slots=True)
class Wired:
    """`profiler` is None where the installation takes no profiles, `reader` where it looks into no pods, `logs` where it
    may not read them from pods; `routes` are for the operator's server."""

    profiler: EvidenceProfiler | None
    routes: Sequence[web.RouteDef] = ()
    reader: PodDescriptors | None = None
    logs: PodLogs | None = None


async def wire(
    stack: AsyncExitStack,
    settings: Settings,
    session: Session,
    *,
    cluster: Cluster,
    sources: Mapping[str, Metrics],
    default: Metrics | None,
) -> Wired:
    """Connections opened here are closed with `stack`. `cluster` lets changes pass only while this replica leads."""
    if not settings.evidence_enabled:
        return Wired(None)
    logs = PodLogs(session) if settings.evidence_logs else None
    ways: list[Way] = []
    if settings.evidence_via in ("Pod", "Auto"):
        ways.append(await stack.enter_async_context(Straight()))
    if settings.evidence_via in ("Proxy", "Auto"):
        ways.append(ThroughApiServer(session))
    client = PprofClient(
        *ways,
        timeout=settings.evidence_timeout,
        # Five profiles that each take their whole time would be too much; two may.
        budget=settings.evidence_pause + 3 * settings.evidence_timeout,
        pause=settings.evidence_pause,
        max_goroutines=settings.evidence_max_goroutines,
    )
    store: Store = Nowhere()
    counts: CountStore | None = None
    routes: list[web.RouteDef] = []
    if settings.evidence_directory is not None:
        volume = Volume(
            settings.evidence_directory, int(settings.evidence_directory_size), settings.evidence_directory_age
        )
        store, counts, routes = volume, volume, [route(volume)]
    elif settings.evidence_bucket and settings.evidence_bucket_credentials is not None:
        place = BucketLocation(
            settings.evidence_bucket,
            settings.evidence_bucket_endpoint,
            settings.evidence_bucket_region,
            settings.evidence_bucket_prefix,
        )
        bucket = await stack.enter_async_context(Bucket(place, mounted(settings.evidence_bucket_credentials)))
        store, counts = bucket, bucket
    pools = Pools(sources, default, settings.bucket)
    reader = None
    if image := settings.evidence_descriptors_image:
        reader = PodDescriptors(session, cluster, image, settings.evidence_descriptors_timeout)
    return Wired(
        EvidenceProfiler(session, client, store, pools=pools, clock=time.time, baselines=Baselines(counts)),
        routes,
        reader,
        logs,
    )
