"""A server of its own for tests: the real command in a process, and a plain client."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from edgecls.converters.tflite.metadata import write_tflite
from edgecls.records.artifact import OutputKind
from edgecls.records.image_spec import ImageSpec
from edgecls.records.metadata import ArtifactMetadata
from written_tflite import classifier

SIZE = 6
LABELS = ["cat", "dog", "emu"]
SPEC = ImageSpec(height=SIZE, width=SIZE, channels=3, mean=(127.5,), std=(127.5,), provenance="declared")
_START_S = 300.0


def write_classifier(path: Path, kind: OutputKind = "logits", labels: list[str] | None = None) -> Path:
    """A .tflite of three classes that says all about itself."""
    record = ArtifactMetadata(
        name="m",
        image_spec=SPEC,
        labels=labels or LABELS,
        outputs=3,
        output_kind=kind,
        source_sha256="0" * 64,
        edgecls_version="0",
    )
    path.write_bytes(write_tflite(classifier(SIZE), record))
    return path


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """`edgecls serve` in a process, for as long as the `with` block lasts."""

    arguments: list[object]
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    said: list[str] = field(default_factory=list)

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "edgecls.cli", "serve", "--port", "0", *map(str, self.arguments)]
        environment = {**os.environ, **self.environment}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        threading.Thread(target=self._listen, daemon=True).start()
        end = time.monotonic() + _START_S
        while not self.port:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("".join(self.said) or "no server")
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"^serving .* on http://[^ ]*:(\d+)/$", line.strip()):
                self.port = int(found[1])

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; header names with underscores for dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        """A value as JSON."""
        return self.ask("POST", path, json.dumps(value).encode(), **{"Content_Type": "application/json", **headers})

    def metric(self, name: str) -> float:
        """A number of /metrics; 0 where it is not there."""
        found = re.search(rf"^{name} (\S+)$", self.ask("GET", "/metrics").body.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self) -> int:
        """Tell it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def wait_for(self, words: str) -> None:
        """Until it has said so."""
        end = time.monotonic() + _START_S
        while not any(words in line for line in self.said):
            assert time.monotonic() < end, self.said
            time.sleep(0.02)
