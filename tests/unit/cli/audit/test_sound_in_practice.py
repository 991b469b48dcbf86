"""Manifests that well-known projects ship and that are right, each reduced to what made it look wrong.

None of them may be reported at Warning or above for the reason given; beside it stands the mistake that looks like it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leakwarden.__main__ import main
from tests.unit.cli.audit.test_kinds import SERVICE, SOUND, STATEFUL, both, changed

PROBES = ("port: http}, timeoutSeconds: 2", "port: 8081}, timeoutSeconds: 2")
OWN_PORT = ("path: /readyz, port: http", "path: /readyz, port: 8081")
READINESS = next(each for each in SOUND.splitlines(keepends=True) if "readinessProbe" in each)
ANNOUNCED = "{app: db, statefulset.kubernetes.io/pod-name: %s}"


def ports(text: str) -> tuple[str, str]:
    return "ports: [{name: http, containerPort: 8080}]", f"ports: [{text}]"


def started(script: str) -> str:
    return changed(("image: shop/web:1", f"image: shop/web:1\n        command: [sh, -c, {json.dumps(script)}]"))


def serving(name: str, selector: str, more: str = "") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n"
        f"spec: {{selector: {selector}, ports: [{{port: 80, targetPort: http}}]{more}}}\n"
    )


def custom(kind: str, version: str, name: str) -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{}}\n"


def once(kind: str = "Never") -> str:
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: once, namespace: shop}\n"
        f"spec: {{restartPolicy: {kind}, containers: [{{name: once, image: once:1, ports: [{{containerPort: 80}}],"
        " resources: {limits: {memory: 1Gi}}, command: [sh, -c, a && b]}]}\n"
    )


SOUND_IN_PRACTICE = {
    "health on a port of its own, beside metrics and a webhook": (
        "LW104",
        changed(ports("{name: metrics, containerPort: 9402}, {name: webhook-server, containerPort: 9443}"), PROBES, OWN_PORT),
    ),
    "all probes on the port of a health server": ("LW104", changed(PROBES, OWN_PORT)),
    "health on a port of its own, and no port declared": ("LW104", changed(ports(""), PROBES, OWN_PORT)),
    "health on the node's network": (
        "LW104",
        changed(PROBES, OWN_PORT, ("      containers:\n", "      hostNetwork: true\n      containers:\n")),
    ),
    "a timeout as long as the period": ("LW110", changed(("periodSeconds: 5, timeoutSeconds: 2", "periodSeconds: 5, timeoutSeconds: 5"))),
    "a slow readiness that nobody waits for": (
        "LW112",
        changed(ports(""), ("path: /readyz, port: http}, periodSeconds: 5", "path: /readyz, port: 8080}, periodSeconds: 40"), ("port: http}", "port: 8080}")),
    ),
    "a controller that only shows its metrics": (
        "LW101",
        changed(
            ports("{name: http-metrics, containerPort: 9402}, {name: healthz, containerPort: 8080}"),
            (READINESS, ""),
            ("port: http}", "port: healthz}"),
        ),
    ),
    "a controller whose Service is for its metrics": (
        "LW101",
        both(
            changed(ports(""), (READINESS, ""), ("port: http}", "port: 8080}")),
            serving("web-metrics", "{app: web}").replace("port: 80, targetPort: http", "name: metrics, port: 9402"),
        ),
    ),
    "a Service for each pod of a StatefulSet": (
        "LW502",
        both(STATEFUL, serving("db-0", ANNOUNCED % "db-0")),
    ),
    "a Service for each pod, before it is ready": (
        "LW503",
        both(STATEFUL, serving("db-0", ANNOUNCED % "db-0", ", publishNotReadyAddresses: true")),
    ),
    "a Service of metrics, also of pods that do not serve yet": (
        "LW503",
        both(
            SOUND,
            serving("web-metrics", "{app: web}", ", publishNotReadyAddresses: true").replace(
                "{port: 80", "{name: metrics, port: 80"
            ),
        ),
    ),
    "a Service for the leader": ("LW502", both(STATEFUL, serving("db-leader", "{app: db, role: master}"))),
    "a Service for the pods of a custom resource": (
        "LW502",
        both(SOUND, custom("Prometheus", "monitoring.coreos.com/v1", "k8s"), serving("prom", "{app.kubernetes.io/name: prometheus}")),
    ),
    "a Service for the pods of a named custom resource": (
        "LW502",
        both(SOUND, custom("Kafka", "kafka.strimzi.io/v1beta2", "orders"), serving("orders", "{strimzi.io/cluster: orders}")),
    ),
    "a Service for the pods of a kind that is not audited": (
        "LW502",
        both(SOUND, "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: old, namespace: shop}\nspec: {template: {metadata:"
             " {labels: {app: old}}, spec: {containers: [{name: a, image: a:1}]}}}\n", serving("old", "{app: old}")),
    ),
    "a budget for the pods of a custom resource": (
        "LW404",
        both(SOUND, custom("Alertmanager", "monitoring.coreos.com/v1", "main"), "apiVersion: policy/v1\nkind: PodDisruptionBudget\n"
             "metadata: {name: am, namespace: shop}\nspec: {maxUnavailable: 1, selector: {matchLabels: {alertmanager: main}}}\n"),
    ),
    "a StatefulSet of one, without the Service that it names": (
        "LW511",
        both(changed(("replicas: 3", "replicas: 1"), ("serviceName: db", "serviceName: none"), base=STATEFUL), SERVICE),
    ),
    "a script that ends with exec after a comment": ("LW206", started("migrate # it's needed\nexec server")),
    "a script that ends with exec over two lines": ("LW206", started("migrate\nexec server \\\n  --port 80")),
    "a script with exec in both branches": ("LW206", started("if [ -f x ]; then\n  exec a\nelse\n  exec b\nfi")),
    "a script that calls a function with exec": ("LW206", started("main() {\n  exec server\n}\nmain")),
    "a script that cuts a variable": ("LW206", started("ID=${HOSTNAME:${#PREFIX}}\nexec server --id $ID")),
    "a script longer than a command line": ("LW206", started("# long\n" * 1000 + "exec server")),
    "a pod that only waits": ("LW206", started("while true; do sleep 3600; done")),
    "a Pod that runs once": ("LW206", once()),
    "a Pod that runs once has no readiness": ("LW101", once("OnFailure")),
    "a label that Flux fills in": ("LW901", changed(("labels: {app: web}}\nspec", "labels: {app: web, region: '${region:=eu}'}}\nspec"))),
}  # fmt: skip

WRONG_BESIDE = {
    "a Service of requests, also of pods that do not serve yet": (
        "LW503",
        both(SOUND, serving("web", "{app: web}", ", publishNotReadyAddresses: true")),
    ),
    "a server beside its metrics": (
        "LW101",
        changed(ports("{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}"), (READINESS, "")),
    ),
    "a server without ports, which a Service selects": (
        "LW101",
        both(
            changed(ports(""), (READINESS, ""), ("port: http}", "port: 8080}")),
            serving("web", "{app: web}").replace("targetPort: http", "targetPort: 8080"),
        ),
    ),
    "a probe of a port that was meant to be the declared one": ("LW104", changed(PROBES)),
    "a timeout above the period": ("LW110", changed(("periodSeconds: 5, timeoutSeconds: 2", "periodSeconds: 5, timeoutSeconds: 6"))),
    "a slow readiness of a pod that gets requests": (
        "LW112",
        changed(("port: http}, periodSeconds: 5", "port: http}, periodSeconds: 40")),
    ),
    "a Service for a pod of another StatefulSet": ("LW502", both(STATEFUL, serving("db-0", ANNOUNCED % "cache-0"))),
    "a Service by a label that no server sets": ("LW502", both(STATEFUL, serving("x", "{app: db, tier: master}"))),
    "a Service beside a custom resource of another name": (
        "LW502",
        both(SOUND, custom("Kafka", "kafka.strimzi.io/v1beta2", "orders"), serving("x", "{app: wbe}")),
    ),
    "a Service beside a route of its name": (
        "LW502",
        both(SOUND, custom("VirtualService", "networking.istio.io/v1", "wbe"), serving("wbe", "{app: wbe}")),
    ),
    "a StatefulSet of three, without the Service that it names": (
        "LW511",
        both(changed(("serviceName: db", "serviceName: none"), base=STATEFUL), SERVICE),
    ),
    "a script whose comment hides no exec": ("LW206", started("migrate\nserver # exec is not needed")),
    "a script with a branch without exec": ("LW206", started("if [ -f x ]; then\n  a\nelse\n  b\nfi")),
    "a Pod that is started again": ("LW206", once("Always")),
    "a label that is not valid": ("LW901", changed(("labels: {app: web}}\nspec", "labels: {app: web, region: 'a b'}}\nspec"))),
}  # fmt: skip


def found(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """(id, severity) of every finding."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    assert main(["audit", str(file), "-o", "json", "--fail-on", "never"]) == 0
    objects = json.loads(capsys.readouterr().out)["objects"]
    return [(finding["id"], finding["severity"]) for each in objects for finding in each["findings"]]


@pytest.mark.parametrize("what", SOUND_IN_PRACTICE)
def test_what_is_sound_in_practice_is_no_warning(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check, text = SOUND_IN_PRACTICE[what]
    assert [each for each in found(text, tmp_path, capsys) if each[0] == check and each[1] != "Info"] == []


@pytest.mark.parametrize("what", WRONG_BESIDE)
def test_the_mistake_that_looks_like_it_is(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check, text = WRONG_BESIDE[what]
    assert [each for each in found(text, tmp_path, capsys) if each[0] == check and each[1] != "Info"] != []


@pytest.mark.parametrize(
    ("port", "hint"),
    [
        ("{name: redis, containerPort: 6379}", "redis-cli"),
        ("{containerPort: 5432}", "pg_isready"),
        ("{name: grpc, containerPort: 9090}", "grpc: {port: 9090}"),
        ("{name: http, containerPort: 6379}", "httpGet: {path: /readyz, port: http}"),
    ],
)
def test_the_probe_to_write_fits_the_server(
    port: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(changed(ports(port), (READINESS, "")))
    main(["audit", str(file)])
    assert f"readinessProbe: {{{hint}" in capsys.readouterr().out.replace("exec: {command: [", "")
