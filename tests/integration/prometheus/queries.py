"""The queries of the built-in signals for one namespace, as a source sends them: a fake Prometheus answers exactly
these.

Their exact text is tested once, in tests/unit/signals/test_catalogue.py.
"""

from __future__ import annotations

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.signals.catalogue import CATALOGUE, Labels, render


def values_of(kind: SignalType, namespace: str, bucket: float = 60.0) -> str:
    return _rendered(CATALOGUE[kind].value, namespace, bucket, 300.0)


def limits_of(kind: SignalType, namespace: str, max_age: float = 300.0) -> str:
    template = CATALOGUE[kind].limit
    assert template is not None
    return _rendered(template, namespace, 60.0, max_age)


def _rendered(template: str, namespace: str, bucket: float, max_age: float) -> str:
    matchers = f'namespace="{namespace}"'
    return render(template, matchers=matchers, bucket=bucket, max_age=max_age, labels=Labels())
