"""The cluster and the images on its nodes: brought up and loaded only where something is missing or has changed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import ExitStack

from e2e.cluster.locks import exclusively
from e2e.cluster.paths import cache_directory
from e2e.cluster.progress import say, step
from e2e.harness.kube import apply, get, provider
from e2e.images.builders import build_image

IMAGES = ("operator", "services", "nginx", "prometheus")

# The archives on the nodes, recorded in the cluster itself: the record is lost exactly when the cluster is created
# again.
_LEDGER = ("leakwarden-e2e-images", "kube-system")


@functools.cache
def _alone() -> ExitStack:
    """Until this process ends no other run of the tests or the demo may have the cluster: they share one release of the
    operator, and each would install it with values of its own while the other uses it."""
    held = ExitStack()
    held.enter_context(exclusively(cache_directory() / "run.lock"))
    return held


def ensure_cluster() -> None:
    """Bring the cluster up, or find that it is; waits for another run that uses it. Raises ClusterError."""
    _alone()
    with step("the cluster"):
        provider().up()


@functools.cache
def ensure_images() -> Mapping[str, str]:
    """Build what has changed and load what the nodes do not have; image -> a text that changes with its content. Done
    once per process: edits during a run do not change it. Raises ClusterError.
    """
    archives = {name: build_image(name) for name in IMAGES}
    ledger = get("configmap", *_LEDGER)
    loaded: dict[str, str] = (ledger or {}).get("data") or {}
    missing = [name for name, archive in archives.items() if loaded.get(name) != archive.stem]
    if missing:
        with step(f"loading {', '.join(missing)} on the nodes"):
            provider().load_images([archives[name] for name in missing])
        apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": _LEDGER[0], "namespace": _LEDGER[1]},
                "data": {name: archive.stem for name, archive in archives.items()},
            }
        )
    else:
        say("all images are on the nodes already")
    return {name: archive.stem for name, archive in archives.items()}
