"""Kinds of mistakes, each in an otherwise valid manifest, and valid manifests that look like them: from a file to the
exit code.

A valid manifest has no finding at Warning or above; for the others the check that reports the mistake is given.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from leakwarden.__main__ import main

SOUND = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 3
  minReadySeconds: 10
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 45
      containers:
      - name: app
        image: shop/web:1
        ports: [{name: http, containerPort: 8080}]
        env: [{name: GOMEMLIMIT, value: 460MiB}]
        resources: {requests: {cpu: 100m, memory: 512Mi}, limits: {memory: 512Mi}}
        livenessProbe: {httpGet: {path: /healthz, port: http}, timeoutSeconds: 2}
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 2}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
"""
STATEFUL = """\
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: pg, port: 5432, targetPort: pg}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: pg
        image: pg:16
        ports: [{name: pg, containerPort: 5432}]
        resources: {requests: {cpu: 1, memory: 2Gi}, limits: {memory: 2Gi}}
        volumeMounts: [{name: data, mountPath: /var/lib/pg}]
        readinessProbe: {exec: {command: [pg_isready]}, timeoutSeconds: 5}
        livenessProbe: {tcpSocket: {port: pg}, periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 6}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}
"""
CRON = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 1 * * *"
  concurrencyPolicy: Forbid
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: job:1, resources: {limits: {memory: 1Gi}}}]}}}}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-config, namespace: shop}\ndata: {level: info}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
"""


def changed(*changes: tuple[str, str], base: str = SOUND) -> str:
    """The manifest with each text replaced by the other; the text must be in it."""
    for old, new in changes:
        assert old in base, old
        base = base.replace(old, new)
    return base


def both(*manifests: str) -> str:
    return "---\n".join(manifests)


def scaled(metrics: str = "", *changes: tuple[str, str]) -> str:
    return both(
        changed(("  replicas: 3\n", ""), *changes),
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shop}\n"
        "spec: {minReplicas: 2, maxReplicas: 6, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}"
        f"{metrics}}}\n",
    )


def claimed(mode: str, *changes: tuple[str, str]) -> str:
    return both(
        changed(volume("{name: data, persistentVolumeClaim: {claimName: data}}"), *changes),
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop}\n"
        f"spec: {{accessModes: [{mode}], resources: {{requests: {{storage: 1Gi}}}}}}\n",
    )


def volume(*volumes: str) -> tuple[str, str]:
    return "      containers:", f"      volumes: [{', '.join(volumes)}]\n      containers:"


def mounted(mounts: str) -> tuple[str, str]:
    return "        lifecycle:", f"        volumeMounts: [{mounts}]\n        lifecycle:"


def variable(text: str) -> tuple[str, str]:
    return "env: [", f"env: [{text}, "


def strategy(text: str) -> tuple[str, str]:
    return "  minReadySeconds: 10", f"  strategy: {text}\n  minReadySeconds: 10"


def routed(name: str, port: str) -> str:
    backend = f"{{service: {{name: {name}, port: {port}}}}}"
    return both(
        SOUND,
        SERVICE,
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shop}\n"
        f"spec: {{rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {backend}}}]}}}}]}}\n",
    )


def rolled_out(text: str) -> str:
    return changed(
        ("apps/v1", "argoproj.io/v1alpha1"),
        ("kind: Deployment", "kind: Rollout"),
        ("  minReadySeconds", f"  strategy: {text}\n  minReadySeconds"),
    )


def pod_affinity(when: str, term: str) -> tuple[str, str]:
    field = f"{when}DuringSchedulingIgnoredDuringExecution"
    return "      containers:\n", f"      affinity: {{podAntiAffinity: {{{field}: [{term}]}}}}\n      containers:\n"


def metric(kind: str, field: str, target: str = "{type: Utilization, averageUtilization: 70}", more: str = "") -> str:
    return f", metrics: [{{type: {kind}, {field}: {{name: cpu, {more}target: {target}}}}}]"


def migration(labels: str, container: str = "name: job, image: job:1") -> str:
    return (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: shop}\n"
        f"spec: {{template: {{metadata: {{labels: {labels}}}, spec: {{restartPolicy: Never, containers: [{{{container},"
        " resources: {limits: {memory: 1Gi}}}]}}}\n"
    )


def budget(field: str, selector: str = "{app: web}") -> str:
    return (
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web, namespace: shop}\n"
        f"spec: {{{field}, selector: {{matchLabels: {selector}}}}}\n"
    )


def worker(*changes: tuple[str, str]) -> str:
    """Another Deployment, whose pods have the labels of the first one's pods and one more."""
    return changed(
        ("name: web,", "name: worker,"), ("{app: web}}\n  template", "{app: web, tier: worker}}\n  template"),
        ("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: worker}}"), *changes,
    )  # fmt: skip


def proxied(image: str, more: str = "") -> str:
    return changed(
        (
            "      containers:\n",
            "      containers:\n      - {name: db-proxy, image: '"
            f"{image}', resources: {{requests: {{memory: 64Mi}}, limits: {{memory: 64Mi}}}}{more}}}\n",
        )
    )


def apart(zones: str, *changes: tuple[str, str], term: str = "") -> str:
    """Each pod in a zone of its own, of those that are named."""
    return changed(
        (
            "      containers:\n",
            "      affinity:\n"
            "        nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms:"
            f" [{{matchExpressions: [{{key: topology.kubernetes.io/zone, operator: In, values: [{zones}]}}]}}]}}}}\n"
            "        podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey:"
            f" topology.kubernetes.io/zone, labelSelector: {{matchLabels: {{app: web}}}}{term}}}]}}\n"
            "      containers:\n",
        ),
        *changes,
    )


def vertical(policy: str) -> str:
    """An autoscaler by the share of the CPU request, and one that sets requests."""
    return both(
        scaled(CPU),
        "apiVersion: autoscaling.k8s.io/v1\nkind: VerticalPodAutoscaler\nmetadata: {name: web, namespace: shop}\n"
        f"spec: {{targetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}, {policy}}}\n",
    )


def in_quota(hard: str, more: str = "") -> str:
    """A rollout by one pod more, in a namespace with this quota."""
    return both(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: all, namespace: shop}\n"
        f"spec: {{hard: {{{hard}}}{more}}}\n",
        changed(ONE_MORE),
    )


def referring(replicas: int, more: str = "") -> str:
    return both(
        changed(("replicas: 3", f"replicas: {replicas}")),
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 4,"
        f" workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: web{more}}}, strategy: {{canary: {{}}}}}}\n",
    )


def two(field: str, selector: str) -> str:
    """Two workloads of three and four pods, and one budget."""
    return both(
        changed(("{app: web}}", "{app: web, part: of-shop}}")),
        changed(("app: web", "app: api"), ("name: web,", "name: api,"), ("{app: api}}", "{app: api, part: of-shop}}"), ("replicas: 3", "replicas: 4")),
        budget(field, selector),
    )  # fmt: skip


def members(image: str, field: str, number: int = 3, name: str = "db") -> str:
    """A StatefulSet of that image and number of pods, and its budget."""
    return both(
        changed(
            ("image: pg:16", f"image: {image}"), ("replicas: 3", f"replicas: {number}"),
            ("kind: StatefulSet\nmetadata: {name: db", f"kind: StatefulSet\nmetadata: {{name: {name}"), base=STATEFUL,
        ),
        budget(field, "{app: db}"),
    )  # fmt: skip


BY_NUMBER = ("targetPort: http", "targetPort: 8080")
ONE_MORE = strategy("{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")
DISTROLESS = ("shop/web:1", "gcr.io/distroless/static:nonroot")
SH_SLEEP = ("{sleep: {seconds: 5}}", "{exec: {command: [/bin/sh, -c, sleep 5]}}")
SQL_PROXY = "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1"
ONE = ("replicas: 3", "replicas: 1")
NO_CPU = ("requests: {cpu: 100m, memory: 512Mi}, ", "requests: {memory: 512Mi}, ")
LIMITS_ALONE = ("requests: {cpu: 100m, memory: 512Mi}, limits: {", "limits: {cpu: 1, ")
CPU = metric("Resource", "resource")
KEY = "{name: LEVEL, valueFrom: {configMapKeyRef: {name: %s, key: %s}}}"
TMP = "{name: tmp, mountPath: /tmp}"

ARE_SOUND = {
    "a DaemonSet that surges": changed(
        ("kind: Deployment", "kind: DaemonSet"),
        ("  replicas: 3\n", "  updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n"),
    ),
    "a Rollout by a Service": both(rolled_out("{blueGreen: {activeService: web}}"), SERVICE),
    "an anti-affinity with a weight": changed(
        pod_affinity(
            "preferred", "{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: web}}}}"
        )
    ),
    "a postStart of a command": changed(("lifecycle: {", "lifecycle: {postStart: {exec: {command: [/app/warm]}}, ")),
    "a postStart that asks another host": changed(
        ("lifecycle: {", "lifecycle: {postStart: {httpGet: {host: registry.shop, path: /here, port: 80}}, ")
    ),
    "a partition for one pod": changed(
        ("  serviceName: db", "  updateStrategy: {rollingUpdate: {partition: 2}}\n  serviceName: db"), base=STATEFUL
    ),
    "a partition below the first ordinal": changed(
        (
            "  serviceName: db",
            "  ordinals: {start: 5}\n  updateStrategy: {rollingUpdate: {partition: 5}}\n  serviceName: db",
        ),
        base=STATEFUL,
    ),
    "no history, where Git has it": changed(("  minReadySeconds", "  revisionHistoryLimit: 0\n  minReadySeconds")),
    "the base itself": SOUND,
    "an autoscaler of what is requested": scaled(CPU),
    "an autoscaler of an amount": scaled(
        metric("Resource", "resource", "{type: AverageValue, averageValue: 500m}"), NO_CPU
    ),
    "an autoscaler whose metrics are set elsewhere": scaled("", NO_CPU),
    "a limit, which is a request too": scaled(CPU, LIMITS_ALONE),
    "an autoscaler of the container itself": scaled(
        metric("ContainerResource", "containerResource", more="container: app, ")
    ),
    "a claim of one pod, which is stopped first": claimed("ReadWriteOncePod", ONE, strategy("{type: Recreate}")),
    "a claim of one pod, which goes first": claimed(
        "ReadWriteOnce", ONE, strategy("{type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}")
    ),
    "a claim of many": claimed("ReadWriteMany"),
    "a claim that many read": claimed("ReadOnlyMany"),
    "a claim for each pod": STATEFUL,
    "a ConfigMap that may be absent": both(
        changed(volume("{name: c, configMap: {name: more, optional: true}}")), CONFIG
    ),
    "a ConfigMap that is there": both(
        changed(volume("{name: c, configMap: {name: web-config, items: [{key: level, path: l}]}}")), CONFIG
    ),
    "a Secret that is kept elsewhere": both(
        changed(variable("{name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}")), CONFIG
    ),
    "a ConfigMap that is kept elsewhere": changed(variable(KEY % ("elsewhere", "level"))),
    "the root certificates of every namespace": both(
        changed(volume("{name: ca, configMap: {name: kube-root-ca.crt}}")), CONFIG
    ),
    "a hook of a declared port": changed(("{sleep: {seconds: 5}}", "{httpGet: {path: /drain, port: http}}")),
    "a route to a port of the Service": routed("web", "{name: http}"),
    "a CronJob": CRON,
    "a CronJob by names and steps": changed(("0 1 * * *", "*/15 8-18/2 1,15 jan-jun mon-fri"), base=CRON),
    "a CronJob by a word": changed(("0 1 * * *", "@daily"), base=CRON),
    "a Service of UDP to a port of UDP": both(
        changed(("containerPort: 8080}]", "containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]")),
        changed(("targetPort: http", "targetPort: dns, protocol: UDP"), base=SERVICE),
    ),
    "a worker that serves nobody": changed(
        ("        ports: [{name: http, containerPort: 8080}]\n", ""),
        ("        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 2}\n", ""),
        ("httpGet: {path: /healthz, port: http}, timeoutSeconds: 2", "exec: {command: [alive]}, timeoutSeconds: 5"),
    ),
    "a Service of a named port, which the Job does not have": both(SOUND, SERVICE, migration("{app: web}")),
    "a Service and a Job of other labels": both(
        SOUND, changed(BY_NUMBER, base=SERVICE), migration("{app: web-migrate}")
    ),
    "a Service of a Job with a readiness probe": both(
        SOUND,
        changed(BY_NUMBER, base=SERVICE),
        migration(
            "{app: web}", "name: job, image: job:1, readinessProbe: {exec: {command: [ready]}, timeoutSeconds: 5}"
        ),
    ),
    "a budget and a Job of other labels": both(SOUND, budget("maxUnavailable: 1"), migration("{app: web-migrate}")),
    "a budget by a number of pods": both(SOUND, budget("minAvailable: 2"), migration("{app: web}")),
    "two workloads with a label of their own": both(
        changed(
            ("{app: web}}\n  template", "{app: web, tier: api}}\n  template"),
            ("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: api}}"),
        ),
        worker(),
    ),
    "two workloads of two namespaces": both(SOUND, worker(("namespace: shop", "namespace: bank"))),
    "a proxy that waits by its flag": proxied(SQL_PROXY, ", args: [--max-sigterm-delay=30s]"),
    "a proxy with a preStop": proxied(SQL_PROXY, ", lifecycle: {preStop: {sleep: {seconds: 15}}}"),
    "a proxy that waits for its clients": proxied("edoburu/pgbouncer:v1.23.1-p0"),
    "a sidecar that is no proxy": proxied("shop/exporter:1"),
    "a shell in an ordinary image": changed(SH_SLEEP),
    "a shell in an image for debugging": changed(("shop/web:1", "gcr.io/distroless/static:debug"), SH_SLEEP),
    "a program of its own in an image without shell": changed(
        DISTROLESS, ("{sleep: {seconds: 5}}", "{exec: {command: [/app/web, drain]}}")
    ),
    "one zone more than pods": apart("a, b, c, d", ONE_MORE),
    "a pod goes first": apart("a, b, c", strategy("{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}")),
    "the pods of each revision apart": apart("a, b, c", ONE_MORE, term=", matchLabelKeys: [pod-template-hash]"),
    "a budget that leaves a majority": members("quay.io/coreos/etcd:v3.5.21", "minAvailable: 2"),
    "two of five members may go": members("hashicorp/consul:1.20", "maxUnavailable: 2", 5),
    "two of three copies that decide nothing": members("pg:16", "maxUnavailable: 2"),
    "two of three brokers, whose controllers are elsewhere": members(
        "apache/kafka:4.0.0", "maxUnavailable: 2", 3, "brokers"
    ),
    "a budget of two workloads by one pod at a time": two("maxUnavailable: 1", "{part: of-shop}"),
    "a budget of every pod by two pods, of workloads with more": two("maxUnavailable: 2", "{}"),
    "a vertical autoscaler that only recommends": vertical("updatePolicy: {updateMode: 'Off'}"),
    "a vertical autoscaler of memory": vertical(
        "resourcePolicy: {containerPolicies: [{containerName: '*', controlledResources: [memory]}]}"
    ),
    "a quota with room for one pod more": in_quota("requests.memory: 2Gi, requests.cpu: 400m, pods: 4"),
    "a quota of some pods": in_quota("pods: 3", ", scopes: [BestEffort]"),
    "a Rollout of a Deployment without pods": referring(0),
    "a Rollout that takes the Deployment's pods away": referring(3, ", scaleDown: onsuccess"),
    "a Service of a named port, which the worker does not have": both(
        changed(
            ("{app: web}}\n  template", "{app: web, tier: api}}\n  template"),
            ("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: api}}"),
        ),
        worker(("name: http, containerPort: 8080", "name: admin, containerPort: 8081"), ("port: http", "port: admin")),
        SERVICE,
    ),
    "a database of one": changed(("replicas: 3", "replicas: 1"), base=STATEFUL),
    "a bounded volume in memory": changed(
        volume("{name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}"), mounted(TMP)
    ),
}

ARE_WRONG = {
    "an autoscaler of a DaemonSet": (
        "LW409",
        both(
            changed(("kind: Deployment", "kind: DaemonSet"), ("  replicas: 3\n", "")),
            scaled(CPU).replace("kind: Deployment, name", "kind: DaemonSet, name").partition("---\n")[2],
        ),
    ),
    "a DaemonSet that surges and takes away": (
        "LW901",
        changed(
            ("kind: Deployment", "kind: DaemonSet"),
            ("  replicas: 3\n", "  updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}\n"),
        ),
    ),
    "a Rollout without the Service that gets its traffic": ("LW901", rolled_out("{blueGreen: {}}")),
    "a Rollout by a Service that is not there": (
        "LW510",
        both(rolled_out("{canary: {stableService: web, canaryService: web-canary}}"), SERVICE),
    ),
    "an anti-affinity without a weight": (
        "LW901",
        changed(
            pod_affinity(
                "preferred", "{podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: web}}}}"
            )
        ),
    ),
    "an anti-affinity over nothing": (
        "LW901",
        changed(pod_affinity("required", "{labelSelector: {matchLabels: {app: web}}}")),
    ),
    "a postStart that asks its own container": (
        "LW212",
        changed(("lifecycle: {", "lifecycle: {postStart: {httpGet: {path: /warm, port: http}}, ")),
    ),
    "a partition that holds back every pod": (
        "LW312",
        changed(
            ("  serviceName: db", "  updateStrategy: {rollingUpdate: {partition: 3}}\n  serviceName: db"), base=STATEFUL
        ),
    ),
    "an autoscaler of CPU, without a request": ("LW413", scaled(CPU, NO_CPU)),
    "an autoscaler of a container that is not there": (
        "LW414",
        scaled(metric("ContainerResource", "containerResource", more="container: ap, ")),
    ),
    "a KEDA trigger of CPU, without a request": (
        "LW413",
        both(
            changed(("  replicas: 3\n", ""), NO_CPU),
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web, namespace: shop}\nspec: {minReplicaCount: 2,"
            " scaleTargetRef: {name: web}, triggers: [{type: cpu, metricType: Utilization, metadata: {value: '60'}}]}\n",
        ),
    ),
    "a claim of one node, the new pod first": ("LW701", claimed("ReadWriteOnce", ONE)),
    "a claim of one pod, the new pod first": ("LW701", claimed("ReadWriteOncePod", ONE)),
    "a claim of one node, three pods": ("LW701", claimed("ReadWriteOnce")),
    "a ConfigMap by a wrong name": ("LW704", both(changed(variable(KEY % ("web-confg", "level"))), CONFIG)),
    "a ConfigMap by a wrong key": ("LW704", both(changed(variable(KEY % ("web-config", "levl"))), CONFIG)),
    "a volume of a ConfigMap that is not there": (
        "LW704",
        both(changed(volume("{name: c, configMap: {name: other}}")), CONFIG),
    ),
    "a volume in memory as large as the limit": (
        "LW702",
        changed(volume("{name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Gi}}"), mounted(TMP)),
    ),
    "a preStop of a port that is not there": (
        "LW209",
        changed(("{sleep: {seconds: 5}}", "{httpGet: {path: /drain, port: admin}}")),
    ),
    "a postStart that never works": ("LW209", changed(("preStop:", "postStart: {tcpSocket: {port: http}}, preStop:"))),
    "a route to a port of the container": ("LW510", routed("web", "{number: 8080}")),
    "a route to no Service": ("LW510", routed("wbe", "{number: 80}")),
    "a StatefulSet without its Service": ("LW511", changed(("serviceName: db", "serviceName: bd"), base=STATEFUL)),
    "a deadline that no run meets": (
        "LW751",
        changed(("  concurrencyPolicy", "  startingDeadlineSeconds: 5\n  concurrencyPolicy"), base=CRON),
    ),
    "a Service of TCP to a port of UDP": (
        "LW501",
        both(
            changed(("containerPort: 8080}]", "containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]")),
            changed(("targetPort: http", "targetPort: dns"), base=SERVICE),
        ),
    ),
    "a Service in another namespace than its pods": (
        "LW502",
        both(SOUND, changed(("namespace: shop", "namespace: bank"), base=SERVICE)),
    ),
    "a Service that selects a Job's pods": (
        "LW512",
        both(SOUND, changed(BY_NUMBER, base=SERVICE), migration("{app: web, part: migrate}")),
    ),
    "a budget that selects a Job's pods": ("LW416", both(SOUND, budget("maxUnavailable: 1"), migration("{app: web}"))),
    "a budget in percent that selects a Job's pods": (
        "LW416",
        both(SOUND, budget("minAvailable: 50%"), migration("{app: web}")),
    ),
    "a selector of two workloads": ("LW310", both(SOUND, worker())),
    "a proxy that ends first": ("LW211", proxied(SQL_PROXY)),
    "an old pooler that ends first": ("LW211", proxied("edoburu/pgbouncer:1.21.0")),
    "a shell that the image does not have": ("LW210", changed(DISTROLESS, SH_SLEEP)),
    "sleep in an image of ko": (
        "LW210",
        changed(
            ("shop/web:1", "ghcr.io/acme/web-0123456789abcdef0123456789abcdef:1"),
            ("{sleep: {seconds: 5}}", "{exec: {command: [sleep, '5']}}"),
        ),
    ),
    "as many zones as pods": ("LW311", apart("a, b, c", ONE_MORE)),
    "a command that outlasts its probe": (
        "LW119",
        changed(("{httpGet: {path: /healthz, port: http}", "{exec: {command: [grpc_health_probe, -rpc-timeout=5s]}")),
    ),
    "a service that KEDA takes to zero": (
        "LW415",
        both(
            changed(("  replicas: 3\n", "")),
            SERVICE,
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web, namespace: shop}\n"
            "spec: {scaleTargetRef: {name: web}, triggers: [{type: prometheus, metadata: {threshold: '9'}}]}\n",
        ),
    ),
    "a budget below etcd's majority": ("LW417", members("quay.io/coreos/etcd:v3.5.21", "minAvailable: 1")),
    "a budget below the majority of five": ("LW417", members("zookeeper:3.9", "maxUnavailable: 3", 5)),
    "a budget of half, rounded up": ("LW417", members("bitnami/etcd@sha256:0", "maxUnavailable: 50%")),
    "a budget below the majority of controllers": (
        "LW417",
        members("apache/kafka:4.0.0", "maxUnavailable: 2", 3, "kafka-controller"),
    ),
    "a budget below the majority of raft": ("LW417", members("shop/store:1", "maxUnavailable: 2", 3, "store-raft")),
    "a budget of two workloads that spares none of one": ("LW418", two("maxUnavailable: 3", "{part: of-shop}")),
    "a budget of every pod": ("LW418", two("minAvailable: 4", "{}")),
    "a vertical and a horizontal autoscaler of one request": (
        "LW419",
        vertical("updatePolicy: {updateMode: Recreate}"),
    ),
    "a quota without room for one pod more": ("LW315", in_quota("requests.memory: 1536Mi")),
    "a quota of pods without room for one more": ("LW315", in_quota("pods: 3")),
    "a Rollout beside the pods of its Deployment": ("LW314", referring(3)),
    "liveness that asks a database": (
        "LW120",
        changed(("{httpGet: {path: /healthz, port: http}", "{exec: {command: [pg_isready, -h, orders-db]}")),
    ),
    "a Service of a number, which the worker does not have": (
        "LW501",
        both(
            changed(
                ("{app: web}}\n  template", "{app: web, tier: api}}\n  template"),
                ("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, tier: api}}"),
            ),
            worker(
                ("name: http, containerPort: 8080", "name: admin, containerPort: 8081"), ("port: http", "port: admin")
            ),
            changed(BY_NUMBER, base=SERVICE),
        ),
    ),
    "a request of half a byte": (
        "LW608",
        changed(("requests: {cpu: 100m, memory: 512Mi}", "requests: {memory: 512m}")),
    ),
    "a variable with two values": ("LW906", changed(variable('{name: A, value: "1"}, {name: A, value: "2"}'))),
}

ARE_REFUSED = {
    "a request above the limit": changed(("memory: 512Mi}, limits", "memory: 1Gi}, limits")),
    "no image": changed(("        image: shop/web:1\n", "")),
    "a pull policy that is none": changed(("image: shop/web:1", "image: shop/web:1\n        imagePullPolicy: Allways")),
    "one path for two mounts": changed(volume("{name: tmp, emptyDir: {}}"), mounted(f"{TMP}, {TMP}")),
    "two volumes of one name": changed(volume("{name: tmp, emptyDir: {}}", "{name: tmp, emptyDir: {}}")),
    "a volume with two sources": changed(volume("{name: tmp, emptyDir: {}, configMap: {name: c}}")),
    "a Secret's volume by name": changed(volume("{name: tmp, secret: {name: c}}")),
    "an amount that is none": changed(("cpu: 100m", "cpu: 100mm")),
    "a scheme in small letters": changed(("port: http}, timeoutSeconds", "port: http, scheme: https}, timeoutSeconds")),
    "an hour of 25": changed(("0 1 * * *", "0 25 * * *"), base=CRON),
    "a schedule of four fields": changed(("0 1 * * *", "0 1 * *"), base=CRON),
    "a claim for one pod and for many": claimed("ReadWriteOncePod, ReadWriteMany", ONE, strategy("{type: Recreate}")),
    "a metric without its target": scaled(", metrics: [{type: Resource, resource: {name: cpu}}]"),
    "a route without a port": routed("web", "{}"),
    "a headless load balancer": both(
        SOUND, changed(("{selector", "{type: LoadBalancer, clusterIP: None, selector"), base=SERVICE)
    ),
}


def audited(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = folder / "manifest.yaml"
    file.write_text(text, encoding="utf-8")
    code = main(["audit", str(file), "--fail-on", "warning"])
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize("text", ARE_SOUND.values(), ids=ARE_SOUND)
def test_a_sound_manifest_has_no_warning(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = audited(text, tmp_path, capsys)
    assert code == 0, shown


@pytest.mark.parametrize(("check", "text"), ARE_WRONG.values(), ids=ARE_WRONG)
def test_a_mistake_is_named_at_warning_or_above(
    check: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = audited(text, tmp_path, capsys)
    found = {line.split()[1] for line in shown.splitlines() if line.startswith(("  error", "  warning"))}
    assert (code, found) == (1, {check}), shown


@pytest.mark.parametrize("text", ARE_REFUSED.values(), ids=ARE_REFUSED)
def test_what_the_api_server_refuses_is_said_to_be_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = audited(text, tmp_path, capsys)
    assert (code, "API rejects" in shown) == (1, True), shown
