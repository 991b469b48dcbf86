"""`python -m tests.bench.audit`: the audit's CPU time on generated manifests, beside kube-score's.

Each program reads the same file in a process of its own; what is counted is user and system time of that process, the
best of three. kube-score is built from its module by Go where that is installed, and left out where it is not. Nothing
here is asserted by a test: the figures are of the machine they were measured on.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web{n}
  namespace: shop
  labels:
    app: web{n}
spec:
  replicas: 3
  minReadySeconds: 10
  selector:
    matchLabels:
      app: web{n}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        app: web{n}
    spec:
      terminationGracePeriodSeconds: 45
      containers:
      - name: app
        image: registry.example.com/web:1
        env:
        - name: GOMEMLIMIT
          value: 230MiB
        - name: PORT
          value: "8080"
        ports:
        - name: http
          containerPort: 8080
        resources:
          requests:
            cpu: 100m
            memory: 256Mi
          limits:
            memory: 256Mi
        livenessProbe:
          httpGet:
            path: /healthz
            port: http
          periodSeconds: 10
          timeoutSeconds: 2
        readinessProbe:
          httpGet:
            path: /readyz
            port: http
          periodSeconds: 5
          timeoutSeconds: 2
        lifecycle:
          preStop:
            sleep:
              seconds: 10
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web{n}
  namespace: shop
spec:
  selector:
    app: web{n}
  ports:
  - name: http
    port: 80
    targetPort: http
"""
BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: web{n}
  namespace: shop
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: web{n}
"""
KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"


def corpus(number: int) -> str:
    """That many Deployments, each with its Service and its budget."""
    return "---\n".join(each.format(n=n) for n in range(number) for each in (DEPLOYMENT, SERVICE, BUDGET))


def cpu_seconds(command: list[str], repeats: int = 3) -> tuple[float, int]:
    """(the least user and system time, the most memory in KiB) of a command's runs."""
    best, memory = float("inf"), 0
    for _ in range(repeats):
        pid = os.fork()
        if pid == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.execvpe(command[0], command, os.environ)
        _, _, used = os.wait4(pid, 0)
        best = min(best, used.ru_utime + used.ru_stime)
        memory = max(memory, used.ru_maxrss)
    return best, memory


def kube_score(folder: Path) -> str | None:
    """The program, built if need be; None where it cannot be."""
    if found := shutil.which("kube-score"):
        return found
    if shutil.which("go") is None:
        return None
    environment = {**os.environ, "GOBIN": str(folder)}
    done = subprocess.run(["go", "install", KUBE_SCORE], env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"kube-score cannot be built here: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    return str(folder / "kube-score")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.audit", description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 10_000], metavar="DEPLOYMENTS")
    options.add_argument("--peer-up-to", type=int, default=1000, help="the largest size that kube-score is given")
    arguments = options.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = kube_score(folder)
        print("| Deployments, Services, budgets | leakwarden audit, CPU-s | MiB | kube-score, CPU-s |")
        print("|---|---|---|---|")
        for size in arguments.sizes:
            file = folder / f"{size}.yaml"
            file.write_text(corpus(size), encoding="utf-8")
            own, memory = cpu_seconds([sys.executable, "-m", "leakwarden", "audit", str(file)])
            other = "-"
            if peer and size <= arguments.peer_up_to:
                other = f"{cpu_seconds([peer, 'score', str(file)])[0]:.2f}"
            print(f"| {size:,} of each | {own:.2f} | {memory // 1024} | {other} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
