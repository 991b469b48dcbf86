"""Episodes of errors at a proxy with the causes that they were made with, from Python files that draw and from JSON files
that were recorded. tests/bench/README.md describes both formats."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.correlation.causes import Cause
from leakwarden.core.correlation.episode import Episode, LogKind, PodReadings

BEGAN = 1_700_000_000.0  # epoch s of the first moment of an episode that gives no time
STEP = 15.0  # s between two moments, as the tool reads them
WINDOW = 60.0  # s that a rate or a quantile reaches back
NONE, OTHER = "None", "Other"
_SERIES = ("proxy_p99", "own_p99", "dependency_p99", "own_errors")
_OF_PODS = ("descriptors", "pool", "goroutines", "cpu", "memory")
_KEYS = frozenset({"cause", "requests", "pods", "timeout", "step", "began", "starts_known", "logs", *_SERIES})
_POD_KEYS = frozenset({"name", "starts", "restarts", *_OF_PODS})
Line = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Mapping[str, Any]]


class BadEpisode(ValueError):
    """An episode that does not follow the format: the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An episode and its truth: the causes that it was made with, or the word for none (`NONE`, `OTHER`)."""

    name: str
    episode: Episode
    causes: frozenset[Cause]
    kind: str


def labelled(name: str, made: Mapping[str, Any]) -> Labelled:
    """The episode of one mapping of the format. Raises BadEpisode."""
    _only(name, made, _KEYS)
    if "cause" not in made or "requests" not in made:
        raise BadEpisode(f"{name}: needs `cause` and `requests`")
    causes, kind = _truth(name, made["cause"])
    by_code = {_code(name, code): _line(name, f"requests[{code}]", values) for code, values in made["requests"].items()}
    sizes = {values.size for values in by_code.values()}
    if len(sizes) != 1:
        raise BadEpisode(f"{name}: requests: every status code needs as many values, found {sorted(sizes)}")
    size = sizes.pop()

    def series(of: Mapping[str, Any], key: str, where: str) -> Line | None:
        if of.get(key) is None:
            return None
        values = _line(name, where + key, of[key])
        if values.size != size:
            raise BadEpisode(f"{name}: {where}{key}: {values.size} values, requests have {size}")
        return values

    pods = []
    for number, pod in enumerate(made.get("pods", ())):
        where = f"pods[{number}]."
        _only(f"{name}: {where}", pod, _POD_KEYS)
        readings: dict[str, Any] = {key: series(pod, key, where) for key in _OF_PODS}
        readings |= {key: tuple(np.atleast_1d(pod.get(key, ())).astype(float)) for key in ("starts", "restarts")}
        pods.append(PodReadings(str(pod.get("name", f"pod-{number}")), **readings))
    logs = made.get("logs")
    step = float(made.get("step", STEP))
    return Labelled(
        name,
        Episode(
            t=float(made.get("began", BEGAN)) + step * np.arange(size, dtype=np.float64),
            requests=np.sum(list(by_code.values()), axis=0),
            errors={code: values for code, values in by_code.items() if code >= 500},
            pods=pods,
            proxy_p99=series(made, "proxy_p99", ""),
            own_p99=series(made, "own_p99", ""),
            dependency_p99=series(made, "dependency_p99", ""),
            own_errors=series(made, "own_errors", ""),
            timeout=float(made["timeout"]) if made.get("timeout") is not None else None,
            starts_known=bool(made.get("starts_known", True)),
            logs={LogKind(kind): int(count) for kind, count in logs.items()} if logs is not None else None,
        ),
        causes,
        kind,
    )


def written(cause: str | list[str], episode: Episode) -> dict[str, Any]:
    """A recorded episode as JSON has it; requests that did not fail get the code 200."""
    fine = episode.requests - np.sum([*episode.errors.values(), np.zeros(episode.t.size)], axis=0)
    found: dict[str, Any] = {
        "cause": cause,
        "began": float(episode.t[0]),
        "step": float(np.median(np.diff(episode.t))),
        "requests": {"200": _json(fine), **{str(code): _json(values) for code, values in episode.errors.items()}},
        "timeout": episode.timeout,
        "starts_known": episode.starts_known,
        "logs": {str(kind): count for kind, count in episode.logs.items()} if episode.logs is not None else None,
    }
    found |= {key: _json(getattr(episode, key)) for key in _SERIES}
    found["pods"] = [
        {
            "name": pod.name, "starts": list(pod.starts), "restarts": list(pod.restarts),
            **{key: _json(getattr(pod, key)) for key in _OF_PODS},
        }
        for pod in episode.pods
    ]  # fmt: skip
    return found


def read(folder: Path, seeds: Sequence[int]) -> list[Labelled]:
    """Every `*.json` of the folder once, and every function of `EPISODES` of every `*.py` with each seed. Raises
    BadEpisode where one cannot be read."""
    found: list[Labelled] = []
    for file in sorted(folder.rglob("*.json")):
        try:
            found.append(labelled(file.stem, json.loads(file.read_text(encoding="utf-8"))))
        except (ValueError, AttributeError, TypeError) as error:
            raise BadEpisode(f"{file}: {error}") from error
    for file in sorted(folder.rglob("*.py")):
        draws: Iterable[Draw] = runpy.run_path(str(file)).get("EPISODES", ())
        for number, draw in enumerate(draws):
            name = f"{file.stem}.{getattr(draw, '__name__', number)}"
            for seed in seeds:
                found.append(labelled(name, draw(np.random.default_rng([seed, number]))))
    if not found:
        raise BadEpisode(f"{folder}: holds no .json file and no .py file with EPISODES")
    return found


def last_minute(values: Line, step: float, window: float = WINDOW) -> Line:
    """Means over the last `window` s, as a rate over so long a time shows them; at the beginning over what there is."""
    reach = max(1, round(window / step))
    sums = np.concatenate(([0.0], np.cumsum(values)))
    end = np.arange(1, values.size + 1)
    begin = np.maximum(end - reach, 0)
    found: Line = (sums[end] - sums[begin]) / (end - begin)
    return found


def _truth(name: str, cause: Any) -> tuple[frozenset[Cause], str]:
    if cause is None or cause in (NONE, OTHER):
        return frozenset(), str(cause)
    several = [cause] if isinstance(cause, str) else list(cause)
    try:
        found = frozenset(Cause(each) for each in several)
    except ValueError:
        allowed = ", ".join([*Cause, OTHER, NONE])
        raise BadEpisode(f"{name}: cause: {cause!r}, allowed are {allowed}, or a list of causes") from None
    return found, " + ".join(sorted(found))


def _code(name: str, code: Any) -> int:
    if not str(code).isdigit() or not 100 <= int(code) <= 599:
        raise BadEpisode(f"{name}: requests: {code!r} is no status code, allowed are 100 to 599")
    return int(code)


def _line(name: str, what: str, values: Any) -> Line:
    found = np.array([np.nan if value is None else value for value in values], np.float64)
    if found.ndim != 1 or found.size < 2 or np.isinf(found).any():
        raise BadEpisode(f"{name}: {what}: needs two or more finite numbers, or null where nothing was read")
    return found


def _only(name: str, made: Mapping[str, Any], allowed: frozenset[str]) -> None:
    if unknown := sorted(set(made) - allowed):
        raise BadEpisode(f"{name}: {', '.join(unknown)} is unknown, allowed are {', '.join(sorted(allowed))}")


def _json(values: Line | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
