"""`edgecls check` on folders of real ONNX files."""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import Result

from edgecls.gate.baseline import Baseline, baseline_schema
from edgecls.records.artifact import Manifest
from edgecls.records.report import DataUsed
from gate_folder import FLOAT, INT8, MADE, make_folder, row, write_results
from phone_results import phone_results

Edgecls = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
WIDTH = 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two artifacts and their measurements."""
    out = tmp_path / "out"
    manifest = make_folder(out, {FLOAT: WIDTH, INT8: WIDTH})
    write_results(out, manifest, {FLOAT: row(FLOAT, p50_ms=2.0), INT8: row(INT8, top1=0.895, lost=range(5))})
    return out


@pytest.fixture
def baseline(folder: Path, tmp_path: Path, edgecls: Edgecls) -> Path:
    """The baseline of that folder."""
    path = tmp_path / "edgecls-baseline.json"
    done = edgecls("check", folder, "--baseline", path, "--update-baseline")
    assert done.exit_code == 0, done.stderr
    return path


def test_a_folder_is_within_its_own_baseline(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 0
    assert done.stderr == "2 artifacts are within budget.\n"
    assert "0.50 ×" in done.stdout


def test_the_baseline_is_small_stable_and_follows_its_schema(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    import jsonschema

    text = baseline.read_text(encoding="utf-8")
    schema = json.loads(baseline_schema())
    assert (ROOT / "docs" / "baseline.schema.json").read_text(encoding="utf-8") == baseline_schema()  # `make schema` writes it
    jsonschema.validate(json.loads(text), schema)
    assert '"lost": [0, 1, 2, 3, 4],' in text
    assert '"latency_ratio": 0.5' in text
    assert "samples" not in text
    assert list(json.loads(text)["artifacts"]) == sorted([FLOAT, INT8])
    edgecls("check", folder, "--baseline", baseline, "--update-baseline")
    assert baseline.read_text(encoding="utf-8") == text
    assert not [path for path in baseline.parent.iterdir() if "partial" in path.name]


def test_a_baseline_is_not_written_where_a_comparison_was_asked_for(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    text = baseline.read_text(encoding="utf-8")
    report = folder.parent / "junit.xml"
    for more in (("--why",), ("--junit", report), ("--github",), ("--gate-latency",)):
        done = edgecls("check", folder, "--baseline", baseline, "--update-baseline", *more)
        assert done.exit_code == 2
        assert "compares nothing" in done.stderr
    assert not report.exists()
    assert baseline.read_text(encoding="utf-8") == text


def test_an_artifact_that_grew_is_exit_1_and_why_names_the_layer(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH + 8})
    write_results(folder, manifest, {FLOAT: row(FLOAT, p50_ms=2.0), INT8: row(INT8, top1=0.895, lost=range(5))})
    done = edgecls("check", folder, "--baseline", baseline, "--why")
    assert done.exit_code == 1
    assert "1 of 2 artifacts is over budget." in done.stderr
    assert "--update-baseline" in done.stderr
    size = Baseline.read(baseline).artifacts[INT8].size_bytes
    assert f"{INT8}: the file grew by 1,857 bytes to {size + 1857:,}" in done.stdout  # 8 × (48 + 10) × 4, and a longer length
    wide = next(line for line in done.stdout.splitlines() if "wide" in line)
    assert "+1.5 KiB (+12.5%)" in wide  # 8 × 48 × 4 bytes; 72 / 64


def test_the_command_that_accepts_a_change_is_whole(folder: Path, edgecls: Edgecls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what was given it would write another baseline, of the newest folder here and its own results."""
    monkeypatch.chdir(folder.parent)
    (folder / "results.json").rename("measured here.json")
    given = ("check", "out", "--baseline", "base/small.json", "--results", "measured here.json")
    Path("base").mkdir()
    assert edgecls(*given, "--update-baseline").exit_code == 0
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH + 8})
    write_results(folder, manifest, {FLOAT: row(FLOAT, p50_ms=2.0), INT8: row(INT8, top1=0.895, lost=range(5))})
    (folder / "results.json").rename("measured here.json")
    done = edgecls(*given)
    assert done.exit_code == 1
    assert "Absolute limits" not in done.stderr
    command = done.stderr.partition("as intended: edgecls ")[2].partition(", and commit")[0]
    assert edgecls(*shlex.split(command)).exit_code == 0
    assert edgecls(*given).exit_code == 0


def test_no_new_baseline_is_advised_for_what_breaks_an_absolute_limit(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    budget = baseline.with_name("edgecls.toml")
    budget.write_text(f'[artifact."{INT8}"]\nmin_accuracy = "99%"\n', encoding="utf-8")
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 1
    assert f"Absolute limits, which a new baseline does not change, are broken by {INT8}: {budget} has them." in done.stderr
    assert "--update-baseline" not in done.stderr


def test_the_budget_beside_the_baseline_is_used(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    budget = baseline.with_name("edgecls.toml")
    budget.write_text("[artifact.'*-int8']\nmax_size = '4 KB'\n", encoding="utf-8")
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 1
    assert f"{INT8}: the file is" in done.stdout
    assert "4,000 allowed" in done.stdout
    elsewhere = baseline.with_name("other.toml")
    elsewhere.write_text("[default]\nmax_size = '4 MB'\n", encoding="utf-8")
    assert edgecls("check", folder, "--baseline", baseline, "--budget", elsewhere).exit_code == 0


def test_a_vanished_artifact_is_exit_1_a_new_one_is_not(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, "base-onnx-float16": WIDTH})
    write_results(folder, manifest, {FLOAT: row(FLOAT)})
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 1
    assert f"{INT8}: is in the baseline and was not made" in done.stdout
    assert "base-onnx-float16: is new" in done.stdout
    edgecls("check", folder, "--baseline", baseline, "--update-baseline")
    assert edgecls("check", folder, "--baseline", baseline).exit_code == 0


def test_a_crash_is_a_regression(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH})
    crashed = row(INT8).model_copy(
        update={"status": "crashed", "reason": "signal 11", "accuracy": None, "flips": None, "latency": None}
    )
    write_results(folder, manifest, {FLOAT: row(FLOAT), INT8: crashed})
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 1
    assert f"{INT8}: crashed when it was run: signal 11" in done.stdout


def _other_version(baseline: Path, folder: Path) -> None:
    baseline.write_text(
        baseline.read_text(encoding="utf-8").replace('"schema_version": 1', '"schema_version": 9'), encoding="utf-8"
    )


def _damaged(baseline: Path, folder: Path) -> None:
    baseline.write_text(baseline.read_text(encoding="utf-8")[:200], encoding="utf-8")


def _not_text(baseline: Path, folder: Path) -> None:
    baseline.write_bytes(b"\xff\xfe\x00\x01" * 20)


def _empty(baseline: Path, folder: Path) -> None:
    baseline.write_text("", encoding="utf-8")


def _gone(baseline: Path, folder: Path) -> None:
    baseline.unlink()


def _nothing_in_it(baseline: Path, folder: Path) -> None:
    content = json.loads(baseline.read_text(encoding="utf-8"))
    baseline.write_text(json.dumps({**content, "artifacts": {}}), encoding="utf-8")


def _another_kind_of_json(baseline: Path, folder: Path) -> None:
    baseline.write_text("[1, 2]", encoding="utf-8")


def _impossible_value(baseline: Path, folder: Path) -> None:
    content = json.loads(baseline.read_text(encoding="utf-8"))
    content["artifacts"][INT8]["accuracy"]["top1"] = 89.5
    baseline.write_text(json.dumps(content), encoding="utf-8")


def _another_model(baseline: Path, folder: Path) -> None:
    content = json.loads(baseline.read_text(encoding="utf-8"))
    content["model"]["name"] = "letters"
    baseline.write_text(json.dumps(content), encoding="utf-8")


def _unknown_unit(baseline: Path, folder: Path) -> None:
    baseline.with_name("edgecls.toml").write_text("[default]\nmax_size = '4 Mb'\n", encoding="utf-8")


def _unknown_artifact(baseline: Path, folder: Path) -> None:
    baseline.with_name("edgecls.toml").write_text("[artifact.'base-onnx-int4']\nmax_size = '4 MB'\n", encoding="utf-8")


def _change_results(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def _a_field_is_missing(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content["environment"].pop("platform"))


def _no_source(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content.pop("source_sha256"))


def _no_accuracy(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content["measurements"][1].update(accuracy=None))


def _a_row_is_missing(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content["measurements"].pop())


def _other_results(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content.update(source_sha256="b" * 64))


def _stale_results(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content.update(created=MADE.replace(year=2025).isoformat()))


def _no_results(baseline: Path, folder: Path) -> None:
    (folder / "results.json").unlink()


def _changed_file(baseline: Path, folder: Path) -> None:
    with (folder / f"{INT8}.onnx").open("ab") as stream:
        stream.write(b"\0")


def _edited_in_place(baseline: Path, folder: Path) -> None:
    path = folder / f"{INT8}.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _accuracy_of_120_percent(baseline: Path, folder: Path) -> None:
    _change_results(folder, lambda content: content["measurements"][1]["accuracy"].update(top1=1.2))


def _no_manifest(baseline: Path, folder: Path) -> None:
    (folder / "manifest.json").unlink()


BROKEN: dict[Callable[[Path, Path], None], str] = {
    _other_version: "version 9",
    _damaged: "a baseline of schema version 1",
    _not_text: "a baseline of schema version 1",
    _empty: "which is empty",
    _gone: "No such file",
    _nothing_in_it: "artifacts: Dictionary should have at least 1 item",
    _another_kind_of_json: "no schema_version",
    _impossible_value: f"artifacts.{INT8}.accuracy.top1",
    _another_model: "named digits: another model",
    _unknown_unit: "max_size = '4 Mb'",
    _unknown_artifact: "'base-onnx-int4'",
    _a_field_is_missing: "environment.platform: Field required",
    _no_source: "which lacks source_sha256",
    _no_accuracy: f"the accuracy of {INT8}, since the baseline has one",
    _a_row_is_missing: "no measurement of it in the results",
    _other_results: "of another model",
    _stale_results: "written before the artifacts were",
    _no_results: "nothing was measured",
    _changed_file: "changed since conversion",
    _edited_in_place: "changed since conversion: expected sha256",
    _accuracy_of_120_percent: "top1: 1.2: Input should be less than or equal to 1",
    _no_manifest: "manifest.json",
}


@pytest.mark.parametrize(("breaking", "said"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_gate_is_exit_2_and_one_line(
    breaking: Callable[[Path, Path], None], said: str, folder: Path, baseline: Path, edgecls: Edgecls
) -> None:
    breaking(baseline, folder)
    done = edgecls("check", folder, "--baseline", baseline)
    assert done.exit_code == 2, done.stdout
    assert done.stderr.startswith("error: expected ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_results_may_come_from_elsewhere(folder: Path, baseline: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    phone = (folder / "results.json").rename(tmp_path / "phone.json")
    assert edgecls("check", folder, "--baseline", baseline).exit_code == 2
    assert edgecls("check", folder, "--baseline", baseline, "--results", phone).exit_code == 0


def test_latency_gates_when_asked(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH})
    write_results(folder, manifest, {FLOAT: row(FLOAT, p50_ms=20.0), INT8: row(INT8, top1=0.895, lost=range(5), p50_ms=12.0)})
    advised = edgecls("check", folder, "--baseline", baseline)
    assert advised.exit_code == 0  # 20 ms instead of 2 is another machine; 0.6 instead of 0.5 of the reference is not
    assert f"{INT8}: latency is 0.60 times {FLOAT}'s, 0.50 times before" in advised.stdout
    assert edgecls("check", folder, "--baseline", baseline, "--gate-latency").exit_code == 1


def test_an_emulated_latency_is_held_against_nothing(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH})
    times = {FLOAT: 20.0, INT8: 60.0}
    lost = {FLOAT: range(0), INT8: range(5)}
    rows = {
        name: row(
            name, top1=0.9 - len(lost[name]) / 1000, lost=lost[name], p50_ms=times[name], doubt="no processor", code="emulated"
        )
        for name in times
    }
    write_results(folder, manifest, rows)
    found = edgecls("check", folder, "--baseline", baseline)
    assert (found.exit_code, "latency is" in found.stdout) == (0, False)
    gated = edgecls("check", folder, "--baseline", baseline, "--gate-latency")
    assert (gated.exit_code, "no processor" in gated.stderr) == (2, True)
    assert edgecls("check", folder, "--baseline", baseline, "--update-baseline").exit_code == 0
    assert Baseline.read(baseline).artifacts[INT8].latency_ratio is None


def test_a_latency_far_below_its_references_is_held(folder: Path, baseline: Path, edgecls: Edgecls) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH})
    write_results(folder, manifest, {FLOAT: row(FLOAT, p50_ms=9000.0), INT8: row(INT8, top1=0.895, lost=range(5), p50_ms=0.03)})
    assert edgecls("check", folder, "--baseline", baseline, "--update-baseline").exit_code == 0
    assert Baseline.read(baseline).artifacts[INT8].latency_ratio == 3.333e-06  # 0.03 / 9000


def test_markdown_junit_and_the_runners_files(
    folder: Path, baseline: Path, edgecls: Edgecls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_folder(folder, {FLOAT: WIDTH, INT8: WIDTH + 8})
    write_results(folder, manifest, {FLOAT: row(FLOAT, p50_ms=2.0), INT8: row(INT8, top1=0.895, lost=range(5))})
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    comment, junit = tmp_path / "comment.md", tmp_path / "junit.xml"
    monkeypatch.chdir(baseline.parent)
    done = edgecls("check", folder, "--baseline", baseline.name, "--markdown", comment, "--junit", junit, "--github")
    assert done.exit_code == 1
    text = comment.read_text(encoding="utf-8")
    assert text.startswith("<!-- edgecls check: digits -->\n### ❌ digits: 1 of 2 artifacts is over budget.\n")
    assert f"| {INT8} |" in text
    assert f"| {FLOAT} |" not in text  # unchanged: folded
    assert f"- {FLOAT}" in text
    assert summary.read_text(encoding="utf-8") == text
    assert outputs.read_text(encoding="utf-8") == "verdict=failed\nnotable=true\n"
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert len(errors) == 2  # size and download
    assert errors[0].startswith(f"::error file=edgecls-baseline.json,title={INT8}%3A size::the file grew by 1,857 bytes")
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "2"
    assert len(suite.findall("testcase")) == int(suite.get("tests", "0")) == 9


def test_two_hundred_artifacts_load_no_framework_and_take_little_longer_than_two(tmp_path: Path, edgecls: Edgecls) -> None:
    seconds = {count: _check_s(count, tmp_path, edgecls) for count in (2, 200)}
    assert seconds[200] < 3 * seconds[2]  # starting Python is most of both


def _check_s(count: int, tmp_path: Path, edgecls: Edgecls) -> float:
    """Processor time of a check of so many artifacts: one thread, and what else this machine does is not the gate's."""
    names = {f"base{index}-onnx-{scheme}": 8 for index in range(count // 2) for scheme in ("float32", "int8")}
    out, baseline = tmp_path / f"out{count}", tmp_path / f"baseline{count}.json"
    manifest = make_folder(out, names)
    write_results(out, manifest, {name: row(name) for name in names})
    assert edgecls("check", out, "--baseline", baseline, "--update-baseline").exit_code == 0
    code = f"""
import sys
from edgecls.cli.app import app
try:
    app(["check", {str(out)!r}, "--baseline", {str(baseline)!r}, "--markdown", {str(tmp_path / "c.md")!r}])
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print(*sys.modules, file=sys.__stderr__)
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    frameworks = {"tensorflow", "keras", "tf_keras", "coremltools", "onnx", "onnxruntime", "sklearn", "scipy", "ai_edge_litert"}
    assert not set(done.stderr.split()) & frameworks
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def test_results_of_an_app_gate_with_the_accuracy_of_this_folder(
    folder: Path, baseline: Path, edgecls: Edgecls, tmp_path: Path
) -> None:
    """An app measures times alone, here of one artifact, on a device of which it knows the name."""
    phone = phone_results(tmp_path / "phone.json", "a" * 64, {INT8: 12.0}, device="Pixel 9")
    done = edgecls("check", folder, "--baseline", baseline, "--results", phone)
    assert done.exit_code == 0, done.stderr
    assert "accuracy and flips are those of" in done.stdout
    both = phone_results(tmp_path / "phone.json", "a" * 64, {FLOAT: 20.0, INT8: 10.0})
    mobile = tmp_path / "phone-baseline.json"
    assert edgecls("check", folder, "--baseline", mobile, "--results", both, "--update-baseline").exit_code == 0
    slower = phone_results(tmp_path / "phone.json", "a" * 64, {FLOAT: 20.0, INT8: 16.0})
    gated = edgecls("check", folder, "--baseline", mobile, "--results", slower, "--gate-latency")
    assert gated.exit_code == 1
    assert f"{INT8}: latency is 0.80 times {FLOAT}'s, 0.50 times before" in gated.stdout


def test_results_of_an_app_show_its_own_failures(folder: Path, baseline: Path, edgecls: Edgecls, tmp_path: Path) -> None:
    phone = phone_results(tmp_path / "phone.json", "a" * 64, {INT8: 12.0})
    content = json.loads(phone.read_text())
    content["measurements"][0] |= {"status": "failed", "reason": "the delegate refused it", "latency": None}
    phone.write_text(json.dumps(content))
    done = edgecls("check", folder, "--baseline", baseline, "--results", phone)
    assert done.exit_code == 1
    assert "the delegate refused it" in done.stdout


def _limit_flips(tmp_path: Path) -> Path:
    path = tmp_path / "edgecls.toml"
    path.write_text('[default]\nmax_flips = "3%"\n', encoding="utf-8")
    return path


@pytest.mark.parametrize(("failed", "others_ran"), [(INT8, False), (FLOAT, True)])
def test_one_that_fails_is_told_where_flips_of_all_are_limited(
    failed: str, others_ran: bool, folder: Path, baseline: Path, tmp_path: Path, edgecls: Edgecls
) -> None:
    """Neither of the two has flips then: one failed, and there was nothing to compare the other with."""
    manifest = Manifest.read(folder)
    nothing = {"status": "crashed", "reason": "signal 11", "accuracy": None, "latency": None}
    rows = {name: row(name).model_copy(update={"flips": None} | (nothing if name == failed else {})) for name in (FLOAT, INT8)}
    write_results(folder, manifest, rows)
    done = edgecls("check", folder, "--baseline", baseline, "--budget", _limit_flips(tmp_path))
    assert done.exit_code == 1, done.stderr
    assert "crashed when it was run: signal 11" in done.stdout + done.stderr
    assert (f"the flips of {INT8} are not limited here" in done.stdout + done.stderr) == others_ran


@pytest.mark.parametrize("labelled", [True, False])
def test_a_float_artifact_alone_has_no_flips_to_limit(labelled: bool, tmp_path: Path, edgecls: Edgecls) -> None:
    out, baseline = tmp_path / "out", tmp_path / "baseline.json"
    manifest = make_folder(out, {FLOAT: WIDTH})
    asked = DataUsed(path="photos", images=1000, labelled=labelled)
    alone = row(FLOAT) if labelled else row(FLOAT).model_copy(update={"accuracy": None})
    write_results(out, manifest, {FLOAT: alone}, data=asked)
    assert edgecls("check", out, "--baseline", baseline, "--update-baseline").exit_code == 0
    limits = ("--baseline", baseline, "--budget", _limit_flips(tmp_path))
    assert edgecls("check", out, *limits).exit_code == 0
    (out / "results.json").unlink()
    unmeasured = edgecls("check", out, *limits)
    assert unmeasured.exit_code == 2
    assert "nothing was measured" in unmeasured.stderr
