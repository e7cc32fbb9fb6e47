"""What `action.yml` runs: `edgecls check` against the baseline as it was at the merge base, and the comment on the pull request.

The artifacts are compared with the state their branch started from, so that a pull request answers for its own changes alone, not for
what the base branch did meanwhile. A pull request that changes the baseline itself accepts what it changes: then its own baseline
gates, and the comment still shows the change since the merge base.

Needs Python and git alone. Reads the variables GITHUB_* of the runner and INPUT_* of the action.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BROKEN = 2
_PAGE = 100  # comments in one answer of the API, its most
_TIMEOUT_S = 30


class BrokenGateError(Exception):
    """Nothing can be compared."""


@dataclass(frozen=True)
class Inputs:
    """The action's inputs."""

    artifacts: str
    baseline: str
    budget: str
    results: str
    gate_latency: bool
    junit: str
    comment: bool
    comment_threshold: str
    command: str
    token: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Inputs:
        """From INPUT_*."""
        texts = {name: environment.get(f"INPUT_{name.upper()}", "") for name in cls.__annotations__}
        flags = {name: texts.pop(name) == "true" for name in ("gate_latency", "comment")}
        return cls(**texts, **flags)  # type: ignore[arg-type]


def main() -> int:
    """Returns what the step exits with: 0 within budget, 1 over it, 2 nothing could be compared."""
    inputs, event = Inputs.of(os.environ), _event()
    with tempfile.TemporaryDirectory() as folder:
        try:
            code, comment, notable = _compare(inputs, event, Path(folder))
        except BrokenGateError as error:
            print(f"::error title=edgecls check::{_escaped(str(error))}")
            _append("GITHUB_OUTPUT", "verdict=broken\nnotable=true\n")
            return BROKEN
    _append("GITHUB_OUTPUT", f"verdict={'failed' if code else 'passed'}\nnotable={str(notable).lower()}\n")
    _append("GITHUB_STEP_SUMMARY", comment)
    number = event.get("pull_request", {}).get("number")
    if inputs.comment and number:
        try:
            keep_comment(
                Comments(os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"], number, inputs.token), comment, notable
            )
        except urllib.error.URLError as error:  # a fork's token may not write: the verdict does not depend on it
            print(f"::warning title=edgecls check::no comment could be written: {_escaped(str(error))}")
    return code


def _compare(inputs: Inputs, event: dict[str, Any], folder: Path) -> tuple[int, str, bool]:
    """(exit code, text of the comment, whether it is worth one)."""
    base = merge_base(event)
    started = _committed(base, inputs.baseline, folder / "merge-base.json")
    own = Path(inputs.baseline) if Path(inputs.baseline).is_file() else None
    gating = own if own and (not started or own.read_bytes() != started.read_bytes()) else started
    if gating is None:
        raise BrokenGateError(
            f"no baseline {inputs.baseline}, neither here nor at the merge base: commit what `edgecls check --update-baseline` writes"
        )
    code, comment, outputs = _check(inputs, gating, folder, ["--github", *(["--junit", inputs.junit] if inputs.junit else [])])
    if code not in (0, 1):
        raise BrokenGateError(outputs.get("error", f"edgecls check exited with {code}"))
    remarks = []
    if gating is not started and started is not None:
        shown, change, _ = _check(inputs, started, folder, [])
        comment = change if shown in (0, 1) else comment
        remarks.append(
            f"This changes the baseline; held against its own, the artifacts are {'over' if code else 'within'} budget."
        )
    budget = inputs.budget or _beside(inputs)
    if not Path(budget).is_file() and _committed(base, budget, folder / "merge-base.toml"):
        remarks.append(f"This removes the limits in {budget}; those that hold without a budget were applied.")
    return code, "\n".join([comment, *(f"{remark}\n" for remark in remarks)]), bool(remarks) or outputs.get("notable") == "true"


def merge_base(event: dict[str, Any]) -> str | None:
    """The commit that what is checked out started from; None where the event knows of no other commit.

    Of a pull request: where it branched off, or, if GitHub's trial merge is checked out, the base commit that was merged. Of a push: the
    commit before.
    """
    if "pull_request" in event:
        if event["pull_request"]["head"]["sha"] in _git("rev-list", "--parents", "-n", "1", "HEAD").split()[2:]:
            return _git("rev-parse", "HEAD^1")
        base = event["pull_request"]["base"]["sha"]
        try:
            return _git("merge-base", "HEAD", base)
        except BrokenGateError:
            _git("fetch", "--quiet", "--no-tags", *_deepening(), "origin", base)
            return _git("merge-base", "HEAD", base)
    before = event.get("before", "")
    return before if before.strip("0") and _exists(before) else None


def _deepening() -> list[str]:
    return ["--unshallow"] if _git("rev-parse", "--is-shallow-repository") == "true" else []


def _exists(commit: str) -> bool:
    return subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False).returncode == 0


def _committed(commit: str | None, path: str, target: Path) -> Path | None:
    """A file as a commit has it."""
    if commit is None:
        return None
    done = subprocess.run(["git", "show", f"{commit}:./{path}"], capture_output=True, check=False)
    if done.returncode:
        return None
    target.write_bytes(done.stdout)
    return target


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        remedy = "check out with `fetch-depth: 0`"
        raise BrokenGateError(f"git {arguments[0]}: {done.stderr.strip() or 'no common commit'}; {remedy}")
    return done.stdout.strip()


def _check(inputs: Inputs, baseline: Path, folder: Path, more: list[str]) -> tuple[int, str, dict[str, str]]:
    """(exit code, Markdown, outputs) of one comparison; its annotations go to stdout only where it gates."""
    comment, outputs = folder / "comment.md", folder / "outputs"
    outputs.write_text("", encoding="utf-8")
    options = ["--baseline", str(baseline), "--markdown", str(comment), "--comment-threshold", inputs.comment_threshold, "--why"]
    budget = inputs.budget or (_beside(inputs) if Path(_beside(inputs)).is_file() else "")
    options += ["--budget", budget] if budget else []
    options += ["--results", inputs.results] if inputs.results else []
    options += ["--gate-latency"] if inputs.gate_latency else []
    done = subprocess.run(
        [*shlex.split(inputs.command), "check", inputs.artifacts, *options, *more],
        env={**os.environ, "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if more:
        print(done.stdout, flush=True)
        print(done.stderr, file=sys.stderr, flush=True)
    found = dict(line.split("=", 1) for line in outputs.read_text(encoding="utf-8").splitlines())
    if done.returncode not in (0, 1):
        found["error"] = done.stderr.strip().rpartition("\n")[2]
        return done.returncode, "", found
    return done.returncode, comment.read_text(encoding="utf-8"), found


def _beside(inputs: Inputs) -> str:
    """The budget that is taken where none is named."""
    return str(Path(inputs.baseline).with_name("edgecls.toml"))


@dataclass(frozen=True)
class Comments:
    """The comments of a pull request, through GitHub's REST API."""

    api: str
    repository: str
    number: int
    token: str

    def find(self, marker: str) -> int | None:
        """Id of the comment that begins with this line."""
        page = 1
        while True:
            found = self._call("GET", f"issues/{self.number}/comments?per_page={_PAGE}&page={page}")
            for comment in found:
                if (comment["body"] or "").startswith(marker):
                    return comment["id"]
            if len(found) < _PAGE:
                return None
            page += 1

    def add(self, body: str) -> None:
        """A new comment."""
        self._call("POST", f"issues/{self.number}/comments", {"body": body})

    def change(self, identity: int, body: str) -> None:
        """Another text for a comment there is."""
        self._call("PATCH", f"issues/comments/{identity}", {"body": body})

    def _call(self, method: str, path: str, content: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.api}/repos/{self.repository}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/vnd.github+json",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)


def keep_comment(comments: Comments, body: str, notable: bool) -> None:
    """One comment for a model: changed where there is one, added where there is something to tell."""
    marker = body.partition("\n")[0]
    identity = comments.find(marker)
    if identity is not None:
        comments.change(identity, body)
    elif notable:
        comments.add(body)


def _event() -> dict[str, Any]:
    path = os.environ.get("GITHUB_EVENT_PATH")
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def _append(variable: str, text: str) -> None:
    if place := os.environ.get(variable):
        with open(place, "a", encoding="utf-8") as stream:
            stream.write(text)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


if __name__ == "__main__":
    sys.exit(main())
