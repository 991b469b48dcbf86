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
# One Error, and no other finding.
BAD = GOOD.replace("good", "bad").replace("{sleep: {seconds: 5}}", "{exec: {command: [sleep, '35']}}")
# One Warning, and no other finding.
SINGLE = GOOD.replace("good", "single").replace("replicas: 3", "replicas: 1")

POLICY = """\
apiVersion: leakwarden.dev/v1alpha1
kind: ReliabilityPolicy
metadata: {name: shop, namespace: shop}
spec:
  selector: {matchLabels: {app: good}}
  audit: {drainTime: 60s}
"""

# Every kind that is read, and every field that a check reads, at least once.
EVERYTHING = (
    BAD.replace(
        "      containers:",
        """\
      hostNetwork: false
      terminationGracePeriodSeconds: 30
      shareProcessNamespace: false
      restartPolicy: Always
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchExpressions: [{key: app, operator: In, values: [bad]}]}}
          preferredDuringSchedulingIgnoredDuringExecution:
          - {weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: bad}}}}
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
      - {name: disk, emptyDir: {sizeLimit: 3Gi}}
      - {name: more, configMap: {name: settings, items: [{key: gogc, path: g}], optional: false}}
      - {name: keys, secret: {secretName: keys}}
      - {name: all, projected: {sources: [{configMap: {name: settings}}, {secret: {name: keys}}]}}
      readinessGates: [{conditionType: example.com/ready}]
      nodeSelector: {kubernetes.io/hostname: a}
      initContainers:
      - {name: proxy, image: p, restartPolicy: Always, ports: [{name: admin, containerPort: 9901}], startupProbe: {tcpSocket: {port: admin}}}
      containers:
      - name: second
        image: shop/second:1
        command: [/bin/sh, -c, "ulimit -n 65536; exec ./second --port=7000"]
        args: [--listen, ":7001"]
        envFrom: [{configMapRef: {name: settings}}]
        env: [{name: GOGC, valueFrom: {configMapKeyRef: {name: settings, key: gogc}}}, {name: GOMEMLIMIT, value: 512Mi}]
        ports: [{name: pprof, containerPort: 6060, hostPort: 6060}]
        resources: {limits: {memory: 512Mi, cpu: 500m, ephemeral-storage: 1Gi}, requests: {cpu: 100m}}
        volumeMounts: [{name: data, mountPath: /data}, {name: more, mountPath: /g, subPath: g}]
        livenessProbe: {exec: {command: [check]}, terminationGracePeriodSeconds: 10}
        readinessProbe: {grpc: {port: 6060, service: s}}
        lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 5 && echo done"]}}, postStart: {httpGet: {port: gone}}}""",
    ).replace(
        "metadata: {name: bad,",
        "metadata: {annotations: {leakwarden.dev/ignore: 'LW304: once; until 2027-03-01'}, name: bad,",
    )
    + """\
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: shop}, spec: {serviceName: db, updateStrategy: {type: OnDelete},
 selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: "0 1 * * *", jobTemplate: {spec: {template: {spec: {
 restartPolicy: Never, containers: [{name: job, image: job}]}}}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: alone, labels: {app: alone}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: canary}, spec: {strategy: {canary: {maxSurge: 1}}, template: {spec: {
 containers: [{name: a, image: a}]}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: bad, namespace: shop}
spec: {minAvailable: 50%, unhealthyPodEvictionPolicy: AlwaysAllow, selector: {matchLabels: {app: bad}, matchExpressions: [{key: a, operator: DoesNotExist}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: bad, namespace: shop}
spec: {minReplicas: 2, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: bad},
 metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}},
  {type: ContainerResource, containerResource: {name: memory, container: gone, target: {type: Utilization, averageUtilization: 70}}}]}
---
{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: db}, spec: {minReplicaCount: 1, scaleTargetRef: {kind: StatefulSet, name: db},
 triggers: [{type: cpu, metricType: Utilization, metadata: {value: '60', containerName: db}}]}}
---
apiVersion: v1
kind: Service
metadata: {name: bad, namespace: shop, labels: {app: bad}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  publishNotReadyAddresses: true
  selector: {app: bad}
  ports: [{name: web, port: 80, targetPort: http}, {name: pprof, port: 6060, targetPort: pprof}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bad, namespace: shop, annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "600"}}
spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: bad, port: {number: 80}}}}]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bad, namespace: shop}
spec: {rules: [{timeouts: {request: 1m30s}, backendRefs: [{name: bad, port: 80}]}]}
---
{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: bad, namespace: shop}, spec: {selector: {matchLabels: {app: bad}},
 namespaceSelector: {any: true}, endpoints: [{port: web}]}}
---
{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: bad, namespace: shop}, spec: {selector: {matchLabels: {app: bad}},
 podMetricsEndpoints: [{port: metrics}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {GOMEMLIMIT: 400MiB, gogc: "off"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: shop}, data: {key: aGVsbG8=}, stringData: {more: x}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop}, spec: {accessModes: [ReadWriteOnce],
 resources: {requests: {storage: 1Gi}}}}
"""
)
