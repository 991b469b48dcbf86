"""`python -m tests.bench.audit`: the audit's CPU time on generated manifests, beside kube-score's and kube-linter's.

Each program reads the same file in a process of its own; what is counted is user and system time of that process, the
best of three, and for the audit also as a multiple of a Python that does nothing. The others are built from their modules
by Go where that is installed and the modules are served, and left out where they are not. Nothing here is asserted by a
test: the figures are of the machine they were measured on.
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
# Program -> (its module, the arguments before the file)
PEERS = {
    "kube-score": ("github.com/zegl/kube-score/cmd/kube-score@v1.20.0", ("score",)),
    "kube-linter": ("golang.stackrox.io/kube-linter/cmd/kube-linter@v0.7.6", ("lint",)),
}


def corpus(number: int) -> str:
    """`number` Deployments, each with its Service and its budget."""
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


def built(program: str, folder: Path) -> str | None:
    """The program, built if needed; None where that is impossible, which is printed."""
    if found := shutil.which(program):
        return found
    if shutil.which("go") is None:
        return None
    environment = {**os.environ, "GOBIN": str(folder)}
    done = subprocess.run(["go", "install", PEERS[program][0]], env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"{program} cannot be built here: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    return str(folder / program)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.audit", description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 10_000], metavar="DEPLOYMENTS")
    options.add_argument("--peer-up-to", type=int, default=1000, help="the largest size that the others are given")
    arguments = options.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = {program: path for program in PEERS if (path := built(program, folder)) is not None}
        bare, _ = cpu_seconds([sys.executable, "-c", "pass"], repeats=9)
        print(f"a Python that does nothing: {bare:.3f} CPU-s\n")
        heads = ["Deployments, Services, budgets", "leakwarden audit, CPU-s", "of a bare Python", "MiB"]
        print("| " + " | ".join([*heads, *(f"{program}, CPU-s" for program in peers)]) + " |")
        print("|" + "---|" * (len(heads) + len(peers)))
        for size in arguments.sizes:
            file = folder / f"{size}.yaml"
            file.write_text(corpus(size), encoding="utf-8")
            own, memory = cpu_seconds([sys.executable, "-m", "leakwarden", "audit", str(file)])
            row = [f"{size:,} of each", f"{own:.2f}", f"{own / bare:.1f}", str(memory // 1024)]
            for program, path in peers.items():
                asked = [path, *PEERS[program][1], str(file)]
                row.append(f"{cpu_seconds(asked)[0]:.2f}" if size <= arguments.peer_up_to else "-")
            print("| " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
