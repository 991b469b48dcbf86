"""The requests of one workload by status code and time, as PromQL that can only read of its own namespace.

Where the policy names a proxy, the requests are counted there: a 502 that the proxy gives is never seen by the workload.
Else the workload's own counters are read, under the names of the signals' catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.api.v1alpha1.proxy import Proxy
from leakwarden.core.correlation.presets import OF_POLICY, ProxyPreset, window
from leakwarden.core.promql import literal_regex, matcher
from leakwarden.core.signals.catalogue import BY_STATUS, HISTOGRAMS, REQUEST_COUNTERS

# The letters of names that the API server generates: `rand.SafeEncodeString` of k8s.io/apimachinery leaves out vowels
# and characters that look alike. A ReplicaSet's hash has up to ten of these letters, a pod's own part has five.
_LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
LONGEST_GENERATED = 58  # characters of a name before the API server appends its five


def pod_names(workload: str, kind: str = "Deployment") -> str:
    """A regular expression (RE2) that matches the names of a workload's pods, including those that are gone."""
    if kind == "StatefulSet":
        return f"{literal_regex(workload)}-[0-9]{{1,10}}"
    if kind == "DaemonSet":
        return f"{literal_regex(workload[:LONGEST_GENERATED])}-?{_LETTERS}{{5}}"
    known = literal_regex(workload[:LONGEST_GENERATED])
    if len(workload) + 12 <= LONGEST_GENERATED:
        return f"{known}-{_LETTERS}{{1,10}}-{_LETTERS}{{5}}"
    # The hash is cut off, in part or wholly.
    return f"{known}-?{_LETTERS}{{0,10}}-?{_LETTERS}{{5}}"


@dataclass(frozen=True, slots=True)
class Traffic:
    """The origin of the requests: the pods, or, where there is a `preset`, the `route` at that proxy."""

    namespace: str
    pods: str  # a regular expression (RE2) for the names of the pods in `namespace`
    labels: tuple[str, str] = ("namespace", "pod")  # the source's names of the labels for namespace and pod
    preset: ProxyPreset | None = None
    route: str = ""

    @classmethod
    def of(
        cls, namespace: str, workload: str, proxy: Proxy | None, labels: tuple[str, str], *, kind: str = "Deployment"
    ) -> Traffic:
        """The traffic of a workload, with the proxy before it that its policy names."""
        if proxy is None:
            return cls(namespace, pod_names(workload, kind), labels)
        return cls(namespace, pod_names(workload, kind), labels, OF_POLICY[proxy.type], proxy.route or workload)

    @property
    def about(self) -> str:
        """The place where the requests are counted, in words."""
        return f"at the proxy, route {self.route}" if self.preset is not None else "by the workload itself"

    @property
    def own(self) -> str:
        """Matchers of the workload's own series."""
        return f"{matcher(self.labels[0], '=', self.namespace)},{matcher(self.labels[1], '=~', self.pods)}"

    def by_code(self, step: float) -> str:
        """Requests per second, one series per status code; the label for the pod contains the code. `step` in s."""
        if self.preset is not None:
            return self._named(self.preset.by_code(self.route, step, self.namespace), self.preset.code)
        parts = [
            self._named(f"sum by ({code}) (rate({name}{{{matcher(code, '!=', '')},{self.own}}}[{window(step)}]))", code)
            for name, code in BY_STATUS
        ]
        return " or ".join(parts)

    def total(self, step: float) -> str:
        """Requests per second of all codes together, one series."""
        if self.preset is not None:
            return self._as("total", f"sum ({self.preset.by_code(self.route, step, self.namespace)})")
        counted = (f"sum (rate({name}{{{self.own}}}[{window(step)}]))" for name in REQUEST_COUNTERS)
        return self._as("total", " or ".join(counted))

    def quantile(self, share: float, step: float) -> str:
        """The time that this share of the requests stays below, in seconds, one series."""
        if self.preset is not None:
            return self._as("time", self.preset.quantile(share, self.route, step, self.namespace))
        found = (
            f"histogram_quantile({share:g}, sum by (le) (rate({name}{{{self.own}}}[{window(step)}])))"
            for name in HISTOGRAMS
        )
        return self._as("time", " or ".join(found))

    def _named(self, query: str, code: str) -> str:
        pod = self.labels[1]
        return f'sum by ({pod}) (label_replace({query}, "{pod}", "$1", "{code}", "(.*)"))'

    def _as(self, name: str, query: str) -> str:
        return f'label_replace({query}, "{self.labels[1]}", "{name}", "", "")'


def of_pods(template: str, pod_label: str, pods: str) -> str:
    """A template of the catalogue, restricted to the pods whose names match: the cost for one workload must not be that
    of all."""
    return template.replace("<<matchers>>", f"{matcher(pod_label, '=~', pods)},<<matchers>>")
