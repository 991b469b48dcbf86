"""Site counts of healthy pods: in memory, bounded, and where profiles are kept there too, so that they outlast a restart."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from typing import Protocol

from leakwarden.adapters.evidence.store import NotStored
from leakwarden.core.profile.baseline import SiteCounts

log = logging.getLogger("leakwarden.evidence")

MOST = 2000  # baselines in memory, some 6 KiB each; the least recently used one is dropped
KEY = re.compile(r"[A-Za-z0-9-]{1,200}", re.ASCII)


class CountStore(Protocol):
    """A store of small documents by key."""

    async def save(self, key: str, data: bytes) -> None:
        """Raises NotStored."""
        ...

    async def load(self, key: str) -> bytes | None:
        """None where there is none. Raises NotStored."""
        ...


class Baselines:
    """The counts by key: a Deployment's UID with its template's hash."""

    def __init__(self, store: CountStore | None = None) -> None:
        self._store = store
        self._held: OrderedDict[str, SiteCounts] = OrderedDict()

    async def get(self, key: str) -> SiteCounts | None:
        """From memory, else from the store; an unreadable document is logged and counts as absent."""
        if (held := self._held.get(key)) is not None:
            self._held.move_to_end(key)
            return held
        if self._store is None or KEY.fullmatch(key) is None:
            return None
        try:
            data = await self._store.load(key)
        except NotStored as error:
            log.warning("a baseline was not read", extra={"key": key, "error": str(error)})
            return None
        counts = SiteCounts.from_json(data) if data is not None else None
        if counts is not None:
            self._remember(key, counts)
        return counts

    async def put(self, key: str, counts: SiteCounts) -> None:
        self._remember(key, counts)
        if self._store is None or KEY.fullmatch(key) is None:
            return
        try:
            await self._store.save(key, counts.to_json().encode())
        except NotStored as error:
            log.warning("a baseline is kept in memory only", extra={"key": key, "error": str(error)})

    def _remember(self, key: str, counts: SiteCounts) -> None:
        self._held[key] = counts
        self._held.move_to_end(key)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
