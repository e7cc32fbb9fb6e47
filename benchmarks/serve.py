"""What `edgecls serve` makes of a machine: requests a second beside bare inferences, and beside a tutorial's Flask app on the Keras model.

    python benchmarks/serve.py ARTIFACTS MODEL.h5 [--tutorial PYTHON] [--seconds 10] [--rounds 3]

ARTIFACTS: a folder that `edgecls convert` made of MODEL.h5, with base-tflite-int8. Needs `wrk` (Debian: apt-get install wrk). PYTHON: an
environment of its own, `pip install flask gunicorn tensorflow tf_keras pillow`. All contenders take turns in every round, with 32
clients on the loopback interface. Printed are medians over the rounds, and the processor time of one request or inference in all
processes together and in the client, which other work on the machine disturbs less than the clock. `of bare` is what the engine's call
alone takes of that: no service is faster than the rest allows. The floor is uvicorn with a constant answer to the same body.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgecls.data.decode import decode_bytes
from edgecls.runners import open_runner
from edgecls.system.processor import usable_cores

CLIENTS = 32
_TUTORIAL_NAME = "Flask + gunicorn + Keras, JPEG form"
_FLOOR = "floor: uvicorn, a constant answer to pixels"
ARTIFACT = "base-tflite-int8"
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_TUTORIAL = """
import io, sys
import numpy as np
import tf_keras
from flask import Flask, jsonify, request
from PIL import Image

app = Flask(__name__)
model = tf_keras.models.load_model({model!r}, compile=False)
height, width, channels = model.input_shape[1:]

@app.route("/predict", methods=["POST"])
def predict():
    image = Image.open(io.BytesIO(request.files["file"].read())).convert("RGB").resize((width, height))
    scores = model.predict(np.expand_dims(np.array(image) / 255.0, axis=0), verbose=0)[0]
    best = scores.argsort()[::-1][:3]
    return jsonify([{{"class": int(index), "score": float(scores[index])}} for index in best])
"""
_CONSTANT = """
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"150")]})
    await send({"type": "http.response.body", "body": b"x" * 150})
"""
_POST = """
local file = io.open(os.getenv("BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
for name, value in string.gmatch(os.getenv("HEADERS"), "([^:\\n]+): ([^\\n]+)") do wrk.headers[name] = value end
done = function(summary, latency)
  io.write(string.format("RESULT %d %d %f %f\\n", summary.requests, summary.errors.status + summary.errors.timeout
    + summary.errors.connect + summary.errors.read + summary.errors.write, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Result:
    """One turn of one contender.

    Attributes:
        per_second: requests, or inferences.
        cpu_ms: processor time of all processes for one of them, the client apart.
        client_ms: likewise of the client.
        errors: requests without a 200.
    """

    per_second: float
    cpu_ms: float
    client_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    errors: int = 0


def main() -> None:
    """Parse, take turns, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--tutorial", type=Path)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", choices=["invoke", "predict", "decode"])  # one bare process: for the script itself
    asked = parser.parse_args()
    if asked.bare:
        print(json.dumps(_bare(asked.artifacts, asked.bare, asked.seconds)))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        results = _take_turns(asked, Path(folder), running)
    print(
        f"{asked.artifacts.name}, {usable_cores()} cores, {CLIENTS} clients, medians of {asked.rounds} rounds of {asked.seconds} s"
    )
    print(f"{'':44} a second  CPU ms  client of bare  p50 ms  p99 ms p99/p50 errors")
    fields = ("per_second", "cpu_ms", "client_ms", "p50_ms", "p99_ms")
    bare_ms = 0.0
    for name, turns in results.items():
        rate, cpu, client, p50, p99 = (statistics.median(getattr(turn, field) for turn in turns) for field in fields)
        bare_ms = bare_ms or cpu  # the first is the engine's call
        needed = bare_ms if name == _FLOOR else 0.0  # which it would have beside an inference
        ratio = f"{p99 / p50:7.1f}" if p50 else f"{'':7}"
        print(
            f"{name:44} {rate:8.1f} {cpu:7.3f} {client:7.3f} {bare_ms / (cpu + client + needed):7.2f} {p50:7.1f} {p99:7.1f} {ratio}"
            f" {sum(turn.errors for turn in turns):6}"
        )


def _take_turns(asked: argparse.Namespace, folder: Path, running: contextlib.ExitStack) -> dict[str, list[Result]]:
    spec = open_runner(asked.artifacts / f"{ARTIFACT}.tflite").spec
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, spec.channels), np.uint8)
    (folder / "picture.jpg").write_bytes(_jpeg(pixels[0]))
    (folder / "post.lua").write_text(_POST, encoding="utf-8")
    tensor, tensor_headers = _tensor(pixels)
    form, form_headers = _form((folder / "picture.jpg").read_bytes())
    served, tutorial = running.enter_context(_served(asked.artifacts)), None
    if asked.tutorial:
        (folder / "tutorial.py").write_text(_TUTORIAL.format(model=str(asked.model.resolve())), encoding="utf-8")
        words = [asked.tutorial, "-m", "gunicorn", "-w", usable_cores(), "-b", "127.0.0.1:{port}", "tutorial:app"]
        tutorial = running.enter_context(_app(words, folder, form, form_headers))
    (folder / "constant.py").write_text(_CONSTANT, encoding="utf-8")
    words = [sys.executable, "-m", "uvicorn", "--port", "{port}", "--log-level", "critical", "--lifespan", "off", "constant:app"]
    constant = running.enter_context(_app(words, folder, tensor, tensor_headers))
    infer = f"/v2/models/{ARTIFACT}/infer"
    results: dict[str, list[Result]] = {}
    for _ in range(asked.rounds):
        turns = {
            "bare: the engine's call": lambda: _bares(asked, "invoke"),
            "bare: pixels to scores": lambda: _bares(asked, "predict"),
            "bare: JPEG to scores": lambda: _bares(asked, "decode"),
            _FLOOR: lambda: _wrk(constant, infer, tensor, tensor_headers, folder, asked.seconds),
            "edgecls serve, pixels (/v2)": lambda: _wrk(served, infer, tensor, tensor_headers, folder, asked.seconds),
            "edgecls serve, JPEG form (/predict)": lambda: _wrk(served, "/predict", form, form_headers, folder, asked.seconds),
        }
        if tutorial:
            turns[_TUTORIAL_NAME] = lambda: _wrk(tutorial, "/predict", form, form_headers, folder, asked.seconds)
        for name, take in turns.items():
            results.setdefault(name, []).append(take())
            print(f"{name}: {results[name][-1]}", file=sys.stderr)
    return results


def _bare(path: Path, what: str, seconds: int) -> tuple[float, float]:
    """Inferences a second of this process alone, and processor milliseconds of one."""
    runner = open_runner(path)
    spec = runner.spec
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, spec.channels), np.uint8)
    content = _jpeg(pixels[0])
    runner.prepare(pixels)
    calls = {
        "invoke": runner.invoke,
        "predict": lambda: runner.predict(pixels),
        "decode": lambda: runner.predict(decode_bytes(content, spec, 10**8)[None]),
    }
    call, count = calls[what], 0
    call()
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        call()
        count += 1
    return count / (time.monotonic() - began), (time.process_time() - used) * 1000 / count


def _bares(asked: argparse.Namespace, what: str) -> Result:
    """One process on each core."""
    artifact = str(asked.artifacts / f"{ARTIFACT}.tflite")
    command = [sys.executable, __file__, artifact, "--bare", what, "--seconds", str(asked.seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(usable_cores())]
    found = [json.loads(process.communicate()[0]) for process in processes]
    return Result(sum(rate for rate, _ in found), statistics.mean(cpu for _, cpu in found))


@dataclass(frozen=True)
class _Server:
    pid: int
    port: int

    def cpu_ms(self) -> float:
        """Processor time of the process and its children so far."""
        children = [pid for path in Path(f"/proc/{self.pid}/task").glob("*/children") for pid in path.read_text().split()]
        used = 0
        for pid in {str(self.pid), *children}:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used * _TICK_MS


def _wrk(server: _Server, path: str, body: bytes, headers: dict[str, str], folder: Path, seconds: int) -> Result:
    """32 clients without a pause; the first second is not counted."""
    (folder / "body").write_bytes(body)
    command = ["wrk", "-c", str(CLIENTS), "-t", "1", "-s", str(folder / "post.lua"), "--timeout", "30s"]
    command.append(f"http://127.0.0.1:{server.port}{path}")
    environment = {
        **os.environ,
        "BODY": str(folder / "body"),
        "HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
    }
    subprocess.run([*command, "-d", "1"], env=environment, capture_output=True, check=True)
    before, client, began = server.cpu_ms(), _children_ms(), time.monotonic()
    done = subprocess.run([*command, "-d", str(seconds)], env=environment, capture_output=True, text=True, check=True)
    used, lasted = server.cpu_ms() - before, time.monotonic() - began
    client = _children_ms() - client
    requests, errors, p50_us, p99_us = map(float, re.search(r"RESULT (.*)", done.stdout)[1].split())  # type: ignore[index]
    answered = max(requests, 1)
    return Result(requests / lasted, used / answered, client / answered, p50_us / 1000, p99_us / 1000, int(errors))


def _children_ms() -> float:
    """Processor time of the processes that have ended."""
    times = os.times()
    return (times.children_user + times.children_system) * 1000


@contextlib.contextmanager
def _served(artifacts: Path) -> Iterator[_Server]:
    command = [sys.executable, "-m", "edgecls.cli", "serve", str(artifacts), "--artifact", ARTIFACT, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = next(int(found[1]) for line in process.stderr if (found := re.search(r"on http://[^ ]*:(\d+)/", line)))
    try:
        yield _Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _app(words: Sequence[object], folder: Path, body: bytes, headers: dict[str, str]) -> Iterator[_Server]:
    """Another server than ours, once it answers; `{port}` in its words is one that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(word).format(port=port) for word in words]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
    try:
        while True:
            try:
                urllib.request.urlopen(request, timeout=60).read()
                break
            except OSError:
                assert process.poll() is None, f"{command} ended"
                time.sleep(0.5)
        yield _Server(process.pid, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _jpeg(pixels: np.ndarray) -> bytes:
    """A picture at the model's size with some structure, as photographs have: noise would take longer to decode."""
    stream = io.BytesIO()
    small = Image.fromarray(pixels).resize((8, 8))
    small.resize(pixels.shape[1::-1], Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _tensor(pixels: np.ndarray) -> tuple[bytes, dict[str, str]]:
    binary = pixels.tobytes()
    tensor = {
        "name": "image",
        "datatype": "UINT8",
        "shape": list(pixels.shape),
        "parameters": {"binary_data_size": len(binary)},
    }
    outputs = [{"name": "scores", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    return head + binary, {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def _form(content: bytes) -> tuple[bytes, dict[str, str]]:
    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head + content + b"\r\n--xyz--\r\n", {"Content-Type": "multipart/form-data; boundary=xyz"}


if __name__ == "__main__":
    main()
