"""The bench's own episodes: each cause alone, with healthy events besides, two causes at once, and no cause at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from leakwarden.core.correlation.causes import Cause
from leakwarden.core.correlation.episode import Episode
from tests.bench.causes.drawing import BESIDE, CAUSES, HEALTHY, OTHERS, World, as_read, episode, memory
from tests.bench.causes.episodes import NONE, OTHER, Labelled, read

MOST_BESIDE = 3
#: In this order, since a proxy's short timeout sets the usual times, and the others change them.
_ORDER = (Cause.PROXY_TIMEOUT, Cause.EXHAUSTION, Cause.SLOW_DEPENDENCY, Cause.ROLLOUT, Cause.OVERLOAD)
_Disturb = Callable[[World], None]


def drawn(seeds: Sequence[int]) -> Iterator[Labelled]:
    """Episodes as the tool reads them; a tenth of the kinds of readings is missing. A draw with causes in which hardly a
    request fails (a leak that a deploy has set back) is left out."""
    return (each for each in _all(seeds) if not each.causes or _failing(each.episode))


def sketched(seeds: Sequence[int]) -> Iterator[Labelled]:
    """Those of the folder `sketched`."""
    for each in read(Path(__file__).with_name("sketched"), seeds):
        yield replace(each, kind=f"{each.kind}, sketched")


def recorded() -> Iterator[Labelled]:
    """Episodes behind the real nginx, kept by the end-to-end tests (e2e/harness/causes.py)."""
    for each in read(Path(__file__).with_name("recorded"), ()):
        yield replace(each, kind=f"{each.kind}, recorded")


def _failing(episode: Episode) -> bool:
    failed = np.sum(list(episode.errors.values()), axis=0)
    return int(np.count_nonzero(failed > 0.012 * episode.requests)) >= 2


def _all(seeds: Sequence[int]) -> Iterator[Labelled]:
    for cause in Cause:
        for seed in seeds:
            yield _made(seed, str(cause), {cause}, [CAUSES[cause]])
    for seed in seeds:
        made = _made(seed, "Exhaustion of memory", {Cause.EXHAUSTION}, [memory])
        # Nothing else shows it.
        if any(pod.memory is not None for pod in made.episode.pods):
            yield made
    for cause in Cause:
        for seed in seeds:
            yield _made(seed, f"{cause}, healthy events besides", {cause}, [CAUSES[cause], *_some(seed, BESIDE)])
    for pair in combinations(_ORDER, 2):
        for seed in seeds:
            yield _made(seed, " and ".join(pair), set(pair), [CAUSES[cause] for cause in pair])
    for seed in seeds:
        for healthy in HEALTHY:
            yield _made(seed, NONE, set(), [healthy])
        yield _made(seed, f"{NONE}, several healthy events", set(), _some(seed, HEALTHY))
        for other in OTHERS:
            yield _made(seed, OTHER, set(), [other])


def _made(seed: int, kind: str, causes: set[Cause], disturb: Sequence[_Disturb]) -> Labelled:
    name = f"{' + '.join(each.__name__ for each in disturb)}, seed {seed}"
    return Labelled(name, as_read(episode(seed, *disturb)), frozenset(causes), kind)


def _some(seed: int, of: Sequence[_Disturb]) -> list[_Disturb]:
    random = np.random.default_rng([seed, len(of)])
    return [of[n] for n in random.permutation(len(of))[: int(random.integers(1, MOST_BESIDE + 1))]]
