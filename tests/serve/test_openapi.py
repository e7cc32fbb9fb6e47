"""The OpenAPI description: sound, true of what is served, and nothing that schemathesis finds against it where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from served import LABELS, Server

HERE = Path(__file__).parent


def test_answers_are_what_it_says(server: Server, png: bytes) -> None:
    document = server.ask("GET", "/openapi.json").json
    schemas = {"$defs": document["components"]["schemas"]}

    def check(name: str, value: object) -> None:
        schema = {**document["components"]["schemas"][name], "components": {"schemas": schemas["$defs"]}}
        jsonschema.Draft202012Validator(schema).validate(value)

    check("Answer", server.ask("POST", "/predict", png).json)
    check("Error", server.ask("POST", "/predict", b"").json)
    check("Artifacts", server.ask("GET", "/artifacts").json)
    check("ModelMetadata", server.ask("GET", "/v2/models/tiny").json)
    check("Metadata", server.ask("GET", "/v1/models/tiny/metadata").json)
    check("Status", server.ask("GET", "/v1/models/tiny").json)
    assert len(server.ask("POST", "/predict", png).json["predictions"]) == len(LABELS)


def test_every_path_without_parameters_is_there(server: Server) -> None:
    for path, operations in server.ask("GET", "/openapi.json").json["paths"].items():
        if "get" in operations and "{" not in path:
            assert server.ask("GET", path).status == 200, path


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: Server) -> None:
    """In an environment of its own, named by SCHEMATHESIS or found on the PATH: `pip install schemathesis pillow`."""
    command = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if command is None:
        pytest.skip("schemathesis is not installed: `pip install schemathesis pillow`, or name it with SCHEMATHESIS")
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    done = subprocess.run(
        [command, "--config-file", HERE / "schemathesis.toml", "run", address, "--max-examples", "20", "--seed", "1"],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
