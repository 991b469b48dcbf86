"""Manifests for the audit command: one without findings, and the same with one fault each."""

from __future__ import annotations

GOOD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: good, namespace: shop, labels: {app: good}}
spec:
  replicas: 3
  minReadySeconds: 10
  selector: {matchLabels: {app: good}}
  template:
    metadata: {labels: {app: good}}
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app: good}}
      containers:
      - name: app
        image: shop/good:1
        ports: [{name: http, containerPort: 8080}]
        env: [{name: GOMEMLIMIT, value: 460MiB}]
        resources: {limits: {memory: 512Mi}}
        startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 30}
        livenessProbe: {httpGet: {path: /healthz, port: http}, timeoutSeconds: 2}
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 2}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
"""
# One Error, and nothing else.
BAD = GOOD.replace("good", "bad").replace("{sleep: {seconds: 5}}", "{exec: {command: [sleep, '35']}}")
# One Warning, and nothing else.
SINGLE = GOOD.replace("good", "single").replace("replicas: 3", "replicas: 1")

POLICY = """\
apiVersion: leakwarden.dev/v1alpha1
kind: ReliabilityPolicy
metadata: {name: shop, namespace: shop}
spec:
  selector: {matchLabels: {app: good}}
  audit: {drainTime: 60s}
"""
