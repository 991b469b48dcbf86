"""From the wire to core facts, of volumes and of the ConfigMaps, Secrets and claims that a pod cannot start without."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.adapters.cluster import template_wire
from leakwarden.core.model.quantity import parse_quantity
from leakwarden.core.model.workload import Mount, Reference, Volume


def volume(item: template_wire.ApiVolume) -> Volume:
    name = item.name or ""
    if item.empty_dir is not None:
        in_memory = item.empty_dir.medium == "Memory"
        return Volume(name, "memory" if in_memory else "disk", parse_quantity(item.empty_dir.size_limit) or None)
    if item.persistent_volume_claim is not None:
        claim = item.persistent_volume_claim.claim_name or ""
        return Volume(name, "claim", references=(Reference("PersistentVolumeClaim", claim),))
    found = tuple(_of_volume(item))
    if found or item.config_map is not None or item.secret is not None:
        return Volume(name, "configuration", references=found)
    return Volume(name, "other")


def mounts(item: template_wire.ApiContainer) -> tuple[Mount, ...]:
    return tuple(Mount(each.name or "", bool(each.sub_path or each.sub_path_expr)) for each in item.volume_mounts or ())


def references(item: template_wire.ApiContainer) -> tuple[Reference, ...]:
    """The references of a container's variables."""
    return tuple(_of_variables(item)) if item.env or item.env_from else ()


def _of_variables(item: template_wire.ApiContainer) -> Iterator[Reference]:
    for source in item.env_from or ():
        if source.config_map_ref is not None and not source.config_map_ref.optional:
            yield Reference("ConfigMap", source.config_map_ref.name or "")
        if source.secret_ref is not None and not source.secret_ref.optional:
            yield Reference("Secret", source.secret_ref.name or "")
    for variable in item.env or ():
        given = variable.value_from
        if given is None:
            continue
        if given.config_map_key_ref is not None and not given.config_map_key_ref.optional:
            yield Reference("ConfigMap", given.config_map_key_ref.name or "", given.config_map_key_ref.key or "")
        if given.secret_key_ref is not None and not given.secret_key_ref.optional:
            yield Reference("Secret", given.secret_key_ref.name or "", given.secret_key_ref.key or "")


def _of_volume(item: template_wire.ApiVolume) -> Iterator[Reference]:
    if item.config_map is not None:
        yield from _keys("ConfigMap", item.config_map.name, item.config_map)
    if item.secret is not None:
        yield from _keys("Secret", item.secret.secret_name, item.secret)
    for source in (item.projected and item.projected.sources) or ():
        if source.config_map is not None:
            yield from _keys("ConfigMap", source.config_map.name, source.config_map)
        if source.secret is not None:
            yield from _keys("Secret", source.secret.name, source.secret)


def _keys(
    kind: str, name: str | None, source: template_wire.ApiConfigVolume | template_wire.ApiSecretVolume
) -> Iterator[Reference]:
    if source.optional or not name:
        return
    yield Reference(kind, name)  # type: ignore[arg-type]
    for each in source.items or ():
        if each.key:
            yield Reference(kind, name, each.key)  # type: ignore[arg-type]
