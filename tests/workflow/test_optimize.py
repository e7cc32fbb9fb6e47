"""optimize: trials made, measured and kept, and the pick made again by `edgecls run`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgecls.errors import DataError, EdgeclsError, InputError, OutputError, WorkerError
from edgecls.formats import sha256
from edgecls.records.artifact import Manifest
from edgecls.records.event import Event
from edgecls.records.optimization import Optimization
from edgecls.records.recipe import Pruning, Training
from edgecls.records.report import Report
from edgecls.records.trial import Candidate, Goal, Trial
from edgecls.search import Space
from edgecls.workflow.best import _placed
from edgecls.workflow.optimize import optimize
from edgecls.workflow.optimize_options import OptimizeRequest
from edgecls.workflow.run import run
from terminal import Done

TRAINING = Training(epochs=1, batch=8, held_out=0.4, learning_rate=1e-4)
PRUNED = (Pruning(sparsity=0.9),)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras 3 classifier of 12x12 colour images, random weights: 25,600 in one layer, whose zeros a download shows."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    conv, dense = layers.Conv2D(8, 3, activation="relu"), layers.Dense(32, activation="relu")
    classes = layers.Dense(3, activation="softmax")
    path = tmp_path_factory.mktemp("model") / "small.keras"
    keras.Sequential([keras.Input((12, 12, 3)), conv, layers.Flatten(), dense, classes]).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """60 labelled images with a test part that nothing may look at: its labels are no classes of the model."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 12, 12, 3)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=np.arange(60) % 3, x_test=pixels[:3], y_test=np.full(3, 2))
    return tmp_path / "images.npz"


def asked(model: Path, data: Path, folder: Path, points: float = 99.0, **options) -> OptimizeRequest:
    goal = Goal(within_points=points, minimize="download", targets=("tflite",))
    known = {"goal": goal, "training": TRAINING, "output": folder, "trials": 2, "calibration_images": 20}
    return OptimizeRequest(model=model, data=data, **(known | options))


class Here:
    """Makes trials in this process, which has loaded TensorFlow already."""

    slots = 1
    is_elsewhere = False

    def submit(self, function, *args, **kwargs) -> concurrent.futures.Future:
        """Call it now."""
        future: concurrent.futures.Future = concurrent.futures.Future()
        try:
            future.set_result(function(*args, **kwargs))
        except EdgeclsError as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture(autouse=True)
def made_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the slow tests do without a process more."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("edgecls.workflow.optimize.LocalPlace", lambda: contextlib.nullcontext(Here()))


def fixed(space: Space, trials: Sequence[Trial], seconds_left: float) -> Candidate | None:
    """Plain int8, then pruned; nothing else."""
    tried = [trial.candidate for trial in trials]
    return next((one for one in (Candidate(), space.candidate(PRUNED)) if one not in tried), None)


def test_trials_are_kept_and_the_pick_is_made_again_from_its_recipe(model: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    events: list[Event] = []
    first = optimize(asked(model, images, folder, trials=1), events.append, fixed)
    assert [trial.candidate.name for trial in first.trials] == ["base-int8"]
    assert first.halves == (12, 12)
    assert first.ended == "the trials are used up"
    with np.load(folder / "choosing.npz") as one, np.load(folder / "judging.npz") as other, np.load(images) as all_of_them:
        assert not {image.tobytes() for image in one["x"]} & {image.tobytes() for image in other["x"]}
        trained = {image.tobytes() for image in all_of_them["x_train"]}
        assert {image.tobytes() for image in (*one["x"], *other["x"])} < trained

    events.clear()
    second = optimize(asked(model, images, folder), events.append, fixed)
    assert "1 trial of an earlier run kept" in [event.remark for event in events]
    assert second.trials[0] == first.trials[0]
    assert [trial.status for trial in second.trials] == ["measured", "measured"]
    pick = second.trials[1]
    assert second.pick == "pruned90-int8" == pick.candidate.name
    assert (pick.value or 0) < (first.trials[0].value or 0)
    assert pick.choosing_drop is not None and pick.judging_drop is not None
    assert f"{pick.judging_drop:.2f} on the judging half" in second.sentence
    assert Optimization.read(folder).pick == second.pick
    assert "pruned90-int8" in (folder / "report.html").read_text(encoding="utf-8")

    manifest, report = Manifest.read(folder / "best"), Report.read(folder / "best" / "results.json")
    (artifact,) = manifest.artifacts
    assert [row.artifact for row in report.measurements] == ["float", artifact.name]
    assert [one.artifact for one in report.picks] == [artifact.name]
    assert artifact.compressed_bytes == pick.value

    made = run(folder / "best.toml")
    again = next(row for row in made.manifest.artifacts if row.name == artifact.name)
    assert again.sha256 == artifact.sha256 == sha256(folder / "best" / artifact.path)


@pytest.mark.slow
@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_who_makes_trials_elsewhere_goes_on_while_files_are_measured(
    model: Path, images: Path, tmp_path: Path, is_elsewhere: bool
) -> None:
    place, steps = Here(), []
    place.is_elsewhere, submit = is_elsewhere, place.submit

    def noted(function, *args, **kwargs) -> concurrent.futures.Future:
        steps.append(f"make {args[0].candidate.name}" if hasattr(args[0], "candidate") else "prepare")
        return submit(function, *args, **kwargs)

    def told(event: Event) -> None:
        if event.stage == "trial":
            steps.append(f"told of {event.remark.split()[0]}")

    place.submit = noted
    found = optimize(asked(model, images, tmp_path / "o"), told, strategy=fixed, place=place)
    assert [trial.status for trial in found.trials] == ["measured", "measured"]
    first, second = (trial.candidate.name for trial in found.trials)
    goes_on = steps.index(f"make {second}") < next(index for index, step in enumerate(steps) if step.startswith("told of"))
    assert goes_on == is_elsewhere, (first, steps)


def test_a_trial_whose_process_died_is_made_anew_by_another_run(model: Path, images: Path, tmp_path: Path) -> None:
    place = Here()
    submit = place.submit

    def dying(function, *args, **kwargs) -> concurrent.futures.Future:
        if getattr(args[0], "candidate", None) != Candidate():
            return submit(function, *args, **kwargs)
        future: concurrent.futures.Future = concurrent.futures.Future()
        future.set_exception(WorkerError("a worker that lives", "one that died", "give it more memory"))
        return future

    place.submit = dying
    first = optimize(asked(model, images, tmp_path / "o", trials=1), strategy=fixed, place=place)
    assert [(trial.status, "more memory" in trial.reason) for trial in first.trials] == [("failed", True)]
    place.submit = submit
    second = optimize(asked(model, images, tmp_path / "o", trials=1), strategy=fixed, place=place)
    assert [(trial.candidate.name, trial.status) for trial in second.trials] == [("base-int8", "measured")]


def test_a_pick_without_training_is_made_again_too_and_goes_into_an_app(
    command: Callable[..., Done], model: Path, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    found = optimize(asked(model, images, folder, trials=1))
    assert found.pick == "base-int8"
    done = command("run", folder / "best.toml")
    assert done.exit_code == 0, done.stderr
    best = Manifest.read(folder / "best").artifacts[0]
    again = {row.name: row.sha256 for row in Manifest.read(folder / "again" / "artifacts").artifacts}
    assert again[best.name] == best.sha256
    (tmp_path / "app" / "public").mkdir(parents=True)
    (tmp_path / "app" / "index.html").write_text("<!doctype html>")
    (tmp_path / "app" / "package.json").write_text("{}")
    done = command("embed", folder / "best", "--into", tmp_path / "app", "--no-golden")
    assert done.exit_code == 0, done.stderr
    assert list((tmp_path / "app").rglob(best.path))


def test_a_pick_is_made_again_also_where_the_data_have_nothing_else_to_measure_on(
    model: Path, images: Path, tmp_path: Path
) -> None:
    with np.load(images) as whole:
        np.savez(tmp_path / "trained.npz", x_train=whole["x_train"], y_train=whole["y_train"])
    folder = tmp_path / "out"
    optimize(asked(model, tmp_path / "trained.npz", folder, trials=1))
    made = run(folder / "best.toml")
    best = Manifest.read(folder / "best").artifacts[0]
    assert best.sha256 in [row.sha256 for row in made.manifest.artifacts]
    assert made.report.data and made.report.data.path == str((folder / "judging.npz").absolute())


def test_what_a_stricter_limit_has_given_up_goes_on_under_a_wider_one(model: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    two = TRAINING.model_copy(update={"epochs": 4})
    first = optimize(asked(model, images, folder, training=two), strategy=fixed)
    measured = first.trials[1]
    given_up = {"status": "given up", "value": None, "choosing_drop": None, "held_out_loss": [9.0, 9.0]}
    path = next((folder / "trials").glob("pruned90-int8-*"))
    (path / "trial.json").write_text(measured.model_copy(update=given_up).to_json())
    again = optimize(asked(model, images, folder, training=two), strategy=fixed)
    assert [trial.status for trial in again.trials] == ["measured", "measured"]


def test_artifacts_that_someone_removed_are_made_anew(model: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = optimize(asked(model, images, folder, trials=1), strategy=fixed)
    for kind in ("base-int8-*", "base-float32-*"):
        next((folder / "trials").glob(f"{kind}/artifacts/*.tflite")).unlink()
    again = optimize(asked(model, images, folder, trials=1), strategy=fixed)
    assert [trial.status for trial in again.trials] == ["measured"] and again.pick == first.pick
    assert len(list((folder / "trials").glob("base-*/artifacts/*.tflite"))) == 2


def test_nothing_within_the_limit_is_exit_1_with_the_nearest_and_what_would_help(
    command: Callable[..., Done], model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecls.workflow.trial_search.drop_of", lambda rows, reference: 7.25)
    arguments = ("--minimize", "download", "--trials", 1, "--held-out", 0.4, "--batch", 8, "-o", tmp_path / "out")
    assert command("optimize", model, "--data", images, "--within", "drop<=9", *arguments).exit_code == 0
    assert (tmp_path / "out" / "best").is_dir()
    done = command("optimize", model, "--data", images, "--within", "drop<=0.5", *arguments)
    assert done.exit_code == 1, done.stderr
    assert "best and best.toml of an earlier search removed: this one has no pick" in " ".join(done.stderr.split())
    assert not (tmp_path / "out" / "best").exists()
    expected = "nothing to ship: no candidate is within 0.5 points of the model; base-int8 comes nearest (7.25 points"
    assert expected in " ".join(done.stdout.split())
    assert "what would help: a wider limit: --within 'drop<=7.3'" in done.stderr
    assert "more time" not in done.stderr  # the one trial that was asked for was made
    assert not (tmp_path / "out" / "best.toml").exists()


def test_paths_of_a_recipe_are_whole_but_for_what_is_no_file() -> None:
    assert _placed(Path("imagenet")) == "imagenet"
    assert Path(_placed(Path("labels.txt"))).is_absolute()


def test_bad_input_is_refused_before_anything_is_trained(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    with pytest.raises(DataError, match="nothing at"):
        optimize(asked(model, tmp_path / "none.npz", folder))
    with pytest.raises(InputError, match="at least one trial"):
        optimize(asked(model, images, folder, trials=0))
    with np.load(images) as arrays:
        np.savez(tmp_path / "one.npz", x=arrays["x_train"], y=np.ones(60, np.int64))
        np.savez(tmp_path / "few.npz", x=arrays["x_train"][:12], y=np.arange(12) % 3)
    with pytest.raises(DataError, match="at least two classes"):
        optimize(asked(model, tmp_path / "one.npz", folder))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("edgecls.workflow.optimize_options.shutil.disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(OutputError, match=r"40 times the model, found .* with 9\.8 KiB free"):
        optimize(asked(model, images, folder))


def test_latency_of_core_ml_needs_a_mac(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecls.workflow.optimize_options.sys.platform", "linux")
    goal = Goal(within_points=1, minimize="latency", targets=("tflite", "coreml"))
    with pytest.raises(InputError, match="name a Mac with --latency-on"):
        optimize(asked(tmp_path / "model.h5", images, tmp_path / "out", goal=goal))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--within", "loss<0.5", "--minimize", "download"), "--within 'drop<=POINTS'"),
        (("--within", "drop<=0.5", "--minimize", "speed"), "--minimize with one of download, size, latency"),
        (("--within", "drop<=0.5", "--minimize", "size", "--time", "0m"), "a time such as 30m"),
        (("--within", "drop<=0.5", "--minimize", "size", "--held-out", "2"), "--held-out: input should be less than 0.9"),
        (("--within", "drop<=0.5", "--minimize", "size", "--targets", "tensorrt"), "targets among"),
        (("--within", "drop<=0.5", "--minimize", "size", "--against", "float"), "--against with one of base, control"),
        (("--within", "drop<=0.5", "--minimize", "size", "--latency-on", "true"), "started by `true`"),
    ],
)
def test_options_that_mean_nothing(
    command: Callable[..., Done], tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "model.h5").write_bytes(b"")
    done = command("optimize", tmp_path / "model.h5", "--data", "digits", *arguments)
    assert done.exit_code == 2
    assert expected in done.stderr
