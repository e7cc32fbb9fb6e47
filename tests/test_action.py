"""The GitHub action, run as the runner would: a repository with branches, the runner's variables, and an API that listens here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from gate_folder import FLOAT, INT8, make_folder

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
ACTIONLINT = "v1.7.7"
MARKER = "<!-- edgecls check: digits -->"
EDGECLS = f"{sys.executable} -m edgecls.cli"


class Api:
    """The part of GitHub's API that keeps comments, listening on this machine."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.status = 200
        self.tokens: set[str] = set()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, method: str) -> None:
                content = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
                api.tokens.add(self.headers["Authorization"])
                body = json.dumps(api.call(method, self.path, content)).encode()
                self.send_response(api.status)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer("GET")

            def do_POST(self) -> None:
                self.answer("POST")

            def do_PATCH(self) -> None:
                self.answer("PATCH")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def call(self, method: str, path: str, content: Any) -> Any:
        if self.status != 200:
            return {"message": "Resource not accessible by integration"}
        if method == "GET":
            page = int(path.rpartition("page=")[2])
            return self.comments[(page - 1) * 100 : page * 100]
        if method == "POST":
            self.comments.append({"id": 1000 + len(self.comments), **content})
            return self.comments[-1]
        identity = int(path.rpartition("/")[2])
        found = next(comment for comment in self.comments if comment["id"] == identity)
        found.update(content)
        return found

    @property
    def own(self) -> list[str]:
        return [comment["body"] for comment in self.comments if comment["body"].startswith(MARKER)]


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


class Repository:
    """A clone with a branch `main` and, after `branch`, one of a pull request."""

    def __init__(self, place: Path, api: Api) -> None:
        self.place, self.api, self.runner = place, api, place.parent / "runner"
        self.runner.mkdir()
        self.place.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.build(16, 16)
        self.update_baseline()
        self.start = self.commit("start")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def build(self, float_width: int, int8_width: int) -> None:
        """What the workflow's steps before the action do; the artifacts are not committed."""
        make_folder(self.place / "out", {FLOAT: float_width, INT8: int8_width})
        (self.place / ".gitignore").write_text("out/\n", encoding="utf-8")

    def update_baseline(self) -> None:
        done = subprocess.run(
            [*EDGECLS.split(), "check", "out", "--update-baseline"], cwd=self.place, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def pull_request(self) -> dict[str, Any]:
        return {
            "pull_request": {
                "number": 7,
                "base": {"sha": self.git("rev-parse", "main")},
                "head": {"sha": self.git("rev-parse", "pr")},
            }
        }

    def act(self, event: dict[str, Any], **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        """Run the action's last step as the runner does: its shell, its variables, each input's default."""
        step = ACTION["runs"]["steps"][-1]
        given = {name: str(declared.get("default", "")) for name, declared in ACTION["inputs"].items()}
        given |= {"artifacts": "out", "command": EDGECLS, "token": "a-token"}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        variables = {f"INPUT_{name.upper().replace('-', '_')}": value for name, value in given.items()}
        assert variables.keys() == step["env"].keys()
        (self.runner / "event.json").write_text(json.dumps(event), encoding="utf-8")
        files = {"GITHUB_OUTPUT": self.runner / "output", "GITHUB_STEP_SUMMARY": self.runner / "summary"}
        for path in files.values():
            path.write_text("", encoding="utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
            **variables,
            **{name: str(path) for name, path in files.items()},
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_EVENT_PATH": str(self.runner / "event.json"),
            "GITHUB_API_URL": self.api.url,
            "GITHUB_REPOSITORY": "owner/name",
            "NO_PROXY": "127.0.0.1",
        }
        script = self.runner / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        bash = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        done = subprocess.run(bash, cwd=self.place, env=environment, capture_output=True, text=True, timeout=60, check=False)
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines())
        return done, outputs


@pytest.fixture
def repository(tmp_path: Path, api: Api) -> Repository:
    return Repository(tmp_path / "repository", api)


def test_growth_of_a_pull_request_fails_and_is_told_once(repository: Repository, api: Api) -> None:
    api.comments = [{"id": index, "body": f"comment {index}"} for index in range(130)]  # more than a page of others' comments
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.commit("grow")
    repository.build(16, 24)
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 1, done.stderr
    assert outputs == {"verdict": "failed", "notable": "true"}
    assert f"::error title={INT8}%3A size::the file grew by" in done.stdout
    assert len(api.own) == 1
    assert "1 of 2 artifacts is over budget" in api.own[0]
    assert "wide" in api.own[0]  # the layer that grew
    assert (repository.runner / "summary").read_text(encoding="utf-8") == api.own[0]
    assert api.tokens == {"Bearer a-token"}

    repository.build(16, 16)
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 0
    assert outputs == {"verdict": "passed", "notable": "false"}
    assert len(api.own) == 1  # the comment there is tells the new state
    assert "2 artifacts are within budget" in api.own[0]


def test_nothing_is_told_where_nothing_changed(repository: Repository, api: Api) -> None:
    repository.git("checkout", "--quiet", "-b", "pr")
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 0
    assert outputs["notable"] == "false"
    assert api.comments == []


def test_a_pull_request_answers_for_its_own_changes_alone(repository: Repository, api: Api) -> None:
    """main halves an artifact after the branch started: held against main's tip, the branch would have grown."""
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.commit("a change of the documents")
    repository.git("checkout", "--quiet", "main")
    repository.build(16, 8)
    repository.update_baseline()
    repository.commit("halve")
    repository.git("checkout", "--quiet", "pr")
    repository.build(16, 16)
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 0, done.stdout
    assert outputs == {"verdict": "passed", "notable": "false"}

    repository.git("checkout", "--quiet", "--detach", "main")  # the trial merge that GitHub makes is built upon main's tip
    repository.git("merge", "--quiet", "--no-edit", "pr")
    repository.build(16, 16)
    done, _ = repository.act(repository.pull_request())
    assert done.returncode == 1
    assert f"{INT8}: size" in done.stdout.replace("%3A", ":")


def test_a_changed_baseline_is_accepted_and_still_told(repository: Repository, api: Api) -> None:
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.build(16, 24)
    repository.update_baseline()
    repository.commit("grow on purpose")
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 0, done.stdout
    assert "::error" not in done.stdout
    assert outputs == {"verdict": "passed", "notable": "true"}
    assert "over budget" in api.own[0]
    assert "This changes the baseline; held against its own, the artifacts are within budget." in api.own[0]


def test_limits_that_a_pull_request_removes_are_told(repository: Repository, api: Api) -> None:
    (repository.place / "edgecls.toml").write_text("[default]\nmax_growth = '100%'\n", encoding="utf-8")
    repository.commit("limits")
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.git("rm", "--quiet", "edgecls.toml")
    repository.commit("no limits")
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 0, done.stdout
    assert outputs == {"verdict": "passed", "notable": "true"}
    assert api.own[0].endswith("This removes the limits in edgecls.toml; those that hold without a budget were applied.\n")


def test_a_first_baseline_gates_itself(repository: Repository, api: Api) -> None:
    repository.git("rm", "--quiet", "edgecls-baseline.json")
    repository.commit("no baseline")
    repository.git("checkout", "--quiet", "-b", "pr")
    broken, outputs = repository.act(repository.pull_request())
    assert broken.returncode == 2
    assert outputs["verdict"] == "broken"
    assert "::error title=edgecls check::no baseline edgecls-baseline.json" in broken.stdout
    repository.update_baseline()
    repository.commit("a baseline")
    done, _ = repository.act(repository.pull_request())
    assert done.returncode == 0, done.stdout


def test_a_broken_gate_is_exit_2(repository: Repository, api: Api) -> None:
    repository.git("checkout", "--quiet", "-b", "pr")
    (repository.place / "edgecls.toml").write_text("[default]\nmax_size = '4 Mb'\n", encoding="utf-8")
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 2
    assert outputs["verdict"] == "broken"
    assert "::error title=edgecls check::error: expected a size such as" in done.stdout
    assert api.comments == []
    named, _ = repository.act(repository.pull_request(), budget="none.toml")
    assert named.returncode == 2


def test_a_token_that_may_not_write_changes_no_verdict(repository: Repository, api: Api) -> None:
    api.status = 403
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.build(16, 24)
    done, outputs = repository.act(repository.pull_request())
    assert done.returncode == 1
    assert outputs["verdict"] == "failed"
    assert "::warning title=edgecls check::no comment could be written: HTTP Error 403" in done.stdout


def test_a_push_is_compared_with_the_commit_before(repository: Repository, api: Api) -> None:
    repository.build(16, 24)
    repository.commit("grow")
    done, _ = repository.act({"before": repository.start, "after": repository.git("rev-parse", "HEAD")})
    assert done.returncode == 1
    assert api.comments == []
    first, _ = repository.act({"before": "0" * 40}, comment="false")
    assert first.returncode == 1  # of a new branch nothing before is known: the committed baseline gates


def test_a_shallow_clone_fetches_what_it_needs(repository: Repository, api: Api, tmp_path: Path) -> None:
    repository.git("checkout", "--quiet", "-b", "pr")
    repository.commit("one")
    repository.commit("two")
    event = repository.pull_request()
    origin, repository.place = repository.place, tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", "--branch", "pr", f"file://{origin}", str(repository.place)], check=True
    )
    repository.build(16, 24)
    done, _ = repository.act(event)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the file grew by" in done.stdout


def test_the_workflows_and_the_action_are_sound() -> None:
    """actionlint also checks the inputs that workflows give the action."""
    tool = shutil.which("actionlint")
    command = [tool] if tool else ["go", "run", f"github.com/rhysd/actionlint/cmd/actionlint@{ACTIONLINT}"]
    if not tool and not shutil.which("go"):
        pytest.skip("neither actionlint nor go is installed")
    version = subprocess.run([*command, "-version"], capture_output=True, text=True, timeout=300, check=False, cwd="/")
    if version.returncode:
        pytest.skip(f"actionlint cannot be had here: {version.stderr.strip().splitlines()[-1:]}")
    done = subprocess.run([*command, "-no-color"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    uses = yaml.safe_load((ROOT / ".github/workflows/size.yml").read_text(encoding="utf-8"))["jobs"]["demo"]["steps"][-1]
    assert uses["with"].keys() <= ACTION["inputs"].keys()
    assert (ROOT / uses["with"]["baseline"]).is_file()
