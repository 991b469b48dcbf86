"""Kubernetes objects for the services, nginx in front of them, and the load, as pure functions returning plain dicts.

`render` turns them into JSON, which `kubectl apply -f -` reads as it is. All pods satisfy the *restricted* pod
security standard: non-root, read-only root filesystem, no capabilities, seccomp.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]

SERVICES_IMAGE = "localhost/leakwarden-e2e/services:dev"
NGINX_IMAGE = "localhost/leakwarden-e2e/nginx:dev"

HTTP_PORT = 8080
PPROF_PORT = 6060
BACKEND = "backend"
_SYSLOG_PORT, _METRICS_PORT = 5140, 9113  # of nginxmetrics

#: Programs with a fault. All but rowsleak, whose database is in its own process, call an upstream.
LEAKING_PROGRAMS = ("bodyleak", "rowsleak", "fileleak", "transportleak", "goroutineleak")
#: Programs without one; boundedcache only looks as if it had.
SOUND_PROGRAMS = ("healthy", "boundedcache")
_WITHOUT_UPSTREAM = frozenset({"rowsleak", "grpcleak", "watchleak", "mapleak", "lockleak"})

#: Between SIGTERM and SIGKILL: more than the services' drain (5 s) and shutdown timeout (10 s) together.
GRACE_SECONDS = 20


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """A namespace in which the API server refuses pods that are not *restricted*."""
    level = "restricted"
    security = {f"pod-security.kubernetes.io/{verb}": level for verb in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**security, **(labels or {})}},
    }


def service(
    name: str,
    program: str,
    namespace: str,
    *,
    replicas: int = 1,
    fixed: bool = False,
    nofile: int | None = None,
    leak_every: int | None = None,
    upstream: str | None = None,
    labels: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    memory: str = "128Mi",
    cpu_limit: str | None = None,
    scrape: bool = True,
) -> list[Manifest]:
    """One of the Go programs as a Deployment and a Service of the same name.

    `nofile` lowers the process's descriptor limit; without it the container runtime's limit applies, usually a million.
    `leak_every` is the program's own default (1, for rowsleak 5) where it is None. `upstream` is the base URL to call,
    by default the Service `backend` in the same namespace, and "" for none. `env` holds any other flag of the program,
    `{"MAX_OPEN": "50"}` for -max-open. `memory` is request and limit alike; goroutineleak ends by exceeding it.
    """
    if upstream is None:
        upstream = "" if program in _WITHOUT_UPSTREAM or name == BACKEND else f"http://{BACKEND}:{HTTP_PORT}"
    settings = {"FIXED": "true"} if fixed else {}
    if nofile is not None:
        settings["NOFILE"] = str(nofile)
    if leak_every is not None:
        settings["LEAK_EVERY"] = str(leak_every)
    if upstream:
        settings["UPSTREAM"] = upstream
    settings.update(env or {})

    container: Manifest = {
        "name": "app",
        "image": SERVICES_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [f"/{program}"],
        "env": [{"name": key, "value": value} for key, value in sorted(settings.items())],
        "ports": [
            {"name": "http", "containerPort": HTTP_PORT},
            {"name": "pprof", "containerPort": PPROF_PORT},
        ],
        "startupProbe": _probe("/healthz", period=1, failures=30),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=3, failures=3),
        "resources": {
            "requests": {"cpu": "10m", "memory": memory},
            "limits": {"memory": memory, **({"cpu": cpu_limit} if cpu_limit else {})},
        },
        "securityContext": _container_security(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
    deployment = _deployment(
        name, namespace, container, replicas=replicas, labels=labels, annotations=annotations if scrape else {}
    )
    ports = [
        {"name": "http", "port": HTTP_PORT, "targetPort": "http"},
        {"name": "pprof", "port": PPROF_PORT, "targetPort": "pprof"},
    ]
    return [deployment, _service(name, namespace, ports, labels)]


def backend(namespace: str) -> list[Manifest]:
    """The upstream of the others: the healthy program, answering by itself."""
    return service(BACKEND, "healthy", namespace)


def service_target(name: str, namespace: str) -> str:
    """host:port under which a Service made here is reached from any namespace."""
    return f"{name}.{namespace}.svc.cluster.local:{HTTP_PORT}"


def nginx_config(routes: Mapping[str, str], *, port: int = HTTP_PORT, metrics: bool = False) -> str:
    """The front's configuration: location /NAME/ goes to host:port of `routes`, with all upstream timeouts at 1 s. With
    `metrics` the log goes to nginxmetrics, too.

    Users get the real answers: nothing is retried or intercepted, and no upstream connection is reused, so a service
    that cannot accept any more is visible at once. A 502 is either the service's own (its upstream call failed: no
    descriptor, no pool connection) or nginx's (refused, or reset by a process that died); a 504 is nginx's after 1 s
    without an answer: the kernel completes the handshake for a process that never accepts.
    """
    locations = "\n".join(
        f"    location /{name}/ {{ proxy_pass http://{target}/; }}" for name, target in sorted(routes.items())
    )
    log_fields = {
        "time": "$time_iso8601",
        "uri": "$request_uri",
        "status": "$status",
        "upstream_status": "$upstream_status",
        "upstream_addr": "$upstream_addr",
        "request_time": "$request_time",
        "upstream_time": "$upstream_response_time",
        "request_id": "$request_id",
    }
    counted = f"\n  access_log syslog:server=127.0.0.1:{_SYSLOG_PORT},tag=nginx,nohostname json;" if metrics else ""
    return f"""\
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  log_format json escape=json '{json.dumps(log_fields)}';
  access_log /dev/stdout json;{counted}
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  proxy_connect_timeout 1s;
  proxy_send_timeout 1s;
  proxy_read_timeout 1s;
  proxy_next_upstream off;
  proxy_set_header X-Request-Id $request_id;
  server {{
    listen {port};
    location = /healthz {{ access_log off; return 200 "ok\\n"; }}
    location = /nginx_status {{ access_log off; stub_status; }}
{locations}
  }}
}}
"""


def nginx(
    namespace: str, routes: Mapping[str, str] | Sequence[str], *, name: str = "nginx", metrics: bool = False
) -> list[Manifest]:
    """One nginx in front of the services: ConfigMap, Deployment and Service `name`, port 8080.

    `routes` are names of Services in the same namespace, or a mapping from location to host:port. nginx resolves the
    hosts once, at start: create the Services first, and keep them (their pods may come and go). With `metrics` its
    requests by status code are counted under ingress-nginx's names, each route as an Ingress of this namespace.
    """
    if not isinstance(routes, Mapping):
        routes = {route: service_target(route, namespace) for route in routes}
    config: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"nginx.conf": nginx_config(routes, metrics=metrics)},
    }
    container: Manifest = {
        "name": "nginx",
        "image": NGINX_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        # -e: before it has read its configuration nginx would log to /var/log, which is read-only here.
        "command": ["/usr/sbin/nginx", "-e", "stderr", "-c", "/etc/front/nginx.conf", "-g", "daemon off;"],
        "ports": [{"name": "http", "containerPort": HTTP_PORT}],
        "startupProbe": _probe("/healthz", period=1, failures=30),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "readinessProbe": _probe("/healthz", period=3, failures=3),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": _container_security(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "config", "mountPath": "/etc/front", "readOnly": True},
        ],
    }
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(_METRICS_PORT)} if metrics else {}
    deployment = _deployment(
        name, namespace, container, volumes=[{"name": "config", "configMap": {"name": name}}], annotations=annotations
    )
    if metrics:
        deployment["spec"]["template"]["spec"]["containers"].append(_nginx_metrics(namespace))
    return [config, deployment, _service(name, namespace, [{"name": "http", "port": HTTP_PORT, "targetPort": "http"}])]


def _nginx_metrics(namespace: str) -> Manifest:
    return {
        "name": "metrics",
        "image": SERVICES_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/nginxmetrics", "-namespace", namespace, "-syslog", f"127.0.0.1:{_SYSLOG_PORT}"],
        "ports": [{"name": "metrics", "containerPort": _METRICS_PORT}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": _container_security(),
    }


def loadgen(
    namespace: str,
    name: str,
    url: str | Sequence[str],
    *,
    rate: float,
    duration: int,
    pattern: str = "constant",
    timeout: float = 5,
    every: float = 10,
    timeline: bool = True,
    requests: int = 100_000,
) -> Manifest:
    """A Job that sends `rate` requests a second to `url` (several take turns) for `duration` seconds.

    Its log ends with the report (`e2e.stack.logs.load_report`). A Job's pod is never restarted: a second run would add
    unwanted load.
    """
    urls = [url] if isinstance(url, str) else list(url)
    arguments = [argument for target in urls for argument in ("-url", target)]
    arguments += ["-rate", str(rate), "-duration", f"{duration}s", "-pattern", pattern, "-timeout", f"{timeout}s"]
    arguments += ["-requests", str(requests), "-every", f"{every}s", f"-timeline={str(timeline).lower()}"]
    container: Manifest = {
        "name": "loadgen",
        "image": SERVICES_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/loadgen", *arguments],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _container_security(),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": _labels(name)},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": duration + int(timeout) + 120,
            "template": {
                "metadata": {"labels": _labels(name)},
                "spec": {**_pod_spec(container), "restartPolicy": "Never"},
            },
        },
    }


def render(manifests: Iterable[Manifest]) -> str:
    """The objects as one v1 List in JSON, in the order given, for `kubectl apply -f -`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}, indent=2)


def _labels(name: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"app": name, "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "leakwarden-e2e", **(extra or {})}


def _service(name: str, namespace: str, ports: list[Manifest], labels: Mapping[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": _labels(name, labels)},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def _deployment(
    name: str,
    namespace: str,
    container: Manifest,
    *,
    replicas: int = 1,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    volumes: Sequence[Manifest] = (),
) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": _labels(name, labels)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": _labels(name, labels), "annotations": dict(annotations or {})},
                "spec": _pod_spec(container, volumes),
            },
        },
    }


def _pod_spec(container: Manifest, volumes: Sequence[Manifest] = ()) -> Manifest:
    return {
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        # Else every Service's address becomes an environment variable, and the programs read their flags from those.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}, *volumes],
    }


def _container_security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    """A probe on the named port. 2 s: a process at its descriptor limit accepts after a pause of up to one second."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
