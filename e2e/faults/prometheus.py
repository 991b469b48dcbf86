"""A real Prometheus as a process on loopback, which can be stopped, started again and made to forget or remember."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.locks import exclusively
from e2e.cluster.paths import cache_directory
from e2e.faults.served import Served
from e2e.images.builders import build_image


def _program(name: str) -> Path:
    """Debian's `prometheus` or `promtool`, from the image that the cluster runs too."""
    archive = build_image("prometheus")
    target = cache_directory() / "bin" / archive.stem.replace("prometheus", name)
    with exclusively(cache_directory() / "bin" / ".prometheus.lock"):
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            made = target.with_suffix(".new")
            made.write_bytes(_member(archive, f"usr/bin/{name}"))
            made.chmod(0o755)
            made.rename(target)
    return target


def _member(archive: Path, program: str) -> bytes:
    with tarfile.open(archive) as image:

        def blob(digest: str) -> bytes:
            file = image.extractfile("blobs/" + digest.replace(":", "/"))
            assert file is not None
            return file.read()

        index = image.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.loads(index.read())["manifests"][0]["digest"]))
        for each in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(each["digest"]))) as layer:
                names = {name.lstrip("./"): name for name in layer.getnames()}
                if program in names:
                    file = layer.extractfile(names[program])
                    assert file is not None
                    return file.read()
    raise AssertionError(f"{archive} holds no {program}")


class Prometheus(Served):
    """Scrapes one target every second, or none. Its data stays after `stop`, and not after `forget`. `past` is its data
    from the start: OpenMetrics text with times, which may lie a month back."""

    def __init__(self, directory: Path, target: str | None, past: Path | None = None) -> None:
        super().__init__("Prometheus", directory)
        scrape = {
            "job_name": "simulated",
            "honor_labels": True,
            "static_configs": [{"targets": [target] if target is not None else []}],
        }
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        if past is not None:
            self._remember(past)
        self.start()

    def _remember(self, past: Path) -> None:
        command = [str(_program("promtool")), "tsdb", "create-blocks-from", "openmetrics", str(past)]
        done = subprocess.run([*command, str(self._directory / "data")], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"promtool could not read {past}: {done.stderr[-800:]}"

    def command(self) -> Sequence[str]:
        return [
            str(_program("prometheus")),
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            "--storage.tsdb.retention.time=60d",
            f"--web.listen-address={self.address}",
        ]

    def forget(self) -> None:
        """Deletes all its data; must be called while it is stopped."""
        shutil.rmtree(self._directory / "data", ignore_errors=True)


def asleep(seconds: float) -> None:
    """For a time that is the scenario itself, such as a gap of so many seconds in the readings."""
    time.sleep(seconds)
