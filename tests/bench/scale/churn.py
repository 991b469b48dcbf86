"""What people and nodes do to a cluster all day: rollouts, evictions, and replicas added and taken away."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from leakwarden.adapters.cluster import Session
from leakwarden.engine.ports import ClusterUnavailable
from tests.bench.scale.population import Refused, send
from tests.bench.scale.world import PODS_OF_A_WORKLOAD, Json, Place

_MERGE = "application/merge-patch+json"
# In a minute of the machine's clock, for 400 Deployments.
ROLLOUTS, EVICTIONS, SCALINGS = 4, 6, 3


class Churn:
    """`touched` has the machine's epoch s of the last change of each Deployment, by name."""

    def __init__(self, session: Session, places: Sequence[Place], seed: int = 11) -> None:
        self.session = session
        self._places = places
        self._random = random.Random(seed)
        self._scaled: list[Place] = []
        self.touched: dict[str, list[float]] = {}
        self.done = {"rollouts": 0, "evictions": 0, "scalings": 0, "refused": 0}

    def a_minute(self) -> list[str]:
        """The kinds of change that one minute brings, in a random order."""
        share = len(self._places) / 400
        wanted = {"rollouts": ROLLOUTS, "evictions": EVICTIONS, "scalings": SCALINGS}
        kinds = [kind for kind, number in wanted.items() for _ in range(max(1, round(number * share)))]
        self._random.shuffle(kinds)
        return kinds

    async def change(self, kind: str) -> None:
        """One change. The API server may be away: that is counted and nothing is repeated."""
        place = self._random.choice(self._places)
        try:
            match kind:
                case "rollouts":
                    await self._roll_out(place)
                case "evictions":
                    place = await self._evict(place)
                case "scalings":
                    place = await self._scale(place)
            self.done[kind] += 1
        except (ClusterUnavailable, Refused):
            self.done["refused"] += 1
        self.touched.setdefault(place.workload, []).append(time.time())

    def _path(self, place: Place) -> str:
        return f"apis/apps/v1/namespaces/{place.namespace}/deployments/{place.workload}"

    async def _roll_out(self, place: Place) -> None:
        change: Json = {"spec": {"template": {"metadata": {"annotations": {"release": str(time.time())}}}}}
        await send(self.session, "PATCH", self._path(place), change, content_type=_MERGE)

    async def _scale(self, place: Place) -> Place:
        if len(self._scaled) >= 10:
            place, replicas = self._scaled.pop(0), PODS_OF_A_WORKLOAD
        else:
            self._scaled.append(place)
            replicas = self._random.choice((3, 4, 7, 8))
        change: Json = {"spec": {"replicas": replicas}}
        await send(self.session, "PATCH", f"{self._path(place)}/scale", change, content_type=_MERGE)
        return place

    async def _evict(self, place: Place) -> Place:
        query = {"labelSelector": f"app={place.workload}"}
        pods = await send(self.session, "GET", f"api/v1/namespaces/{place.namespace}/pods", query=query)
        name = self._random.choice(pods["items"])["metadata"]["name"]
        body: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await send(self.session, "POST", f"api/v1/namespaces/{place.namespace}/pods/{name}/eviction", body)
        return place
