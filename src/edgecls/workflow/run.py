"""run: a recipe file -> compress -> convert -> bench, skipping what has not changed since the last time."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from edgecls.converters import Effort, plan_jobs
from edgecls.crew import BenchOptions
from edgecls.crew.environment import environment
from edgecls.data.digits import DIGITS_NAME
from edgecls.data.imagenet import IMAGENET, are_imagenet
from edgecls.data.parts import has_images_for
from edgecls.data.source import Role
from edgecls.errors import ArtifactError, DataError
from edgecls.formats import change_since_conversion, sha256
from edgecls.records.artifact import DEFAULT_TARGETS, Activation, Border, Estimator, Manifest, OnnxBatch, OnnxLayout, Target
from edgecls.records.event import Event, OnEvent, ignore
from edgecls.records.recipe import BASE, QuantizationAwareTraining, Recipe, Value, fingerprint, read_recipe
from edgecls.records.report import Report
from edgecls.records.variant import VariantSet
from edgecls.system.store import write_text
from edgecls.workflow.accuracy_goal import check_goal
from edgecls.workflow.bench import BenchRequest, bench, own_failures
from edgecls.workflow.compress import CompressOptions, compress, resumed_by_itself
from edgecls.workflow.content import content_hash
from edgecls.workflow.convert import convert, toolchain
from edgecls.workflow.convert_options import ConvertOptions, OnnxWeights, check_options
from edgecls.workflow.convert_set import refuse_goal_of_trained, set_options
from edgecls.workflow.opening import require_paths
from edgecls.workflow.publication import withdraw
from edgecls.workflow.results import RESULTS_NAME
from edgecls.workflow.variants import read_variants
from edgecls.workflow.workers import Workers

STATE_NAME = "run.json"


class ConvertPart(Value):
    """The section `[convert]`: options of `edgecls convert`.

    Attributes:
        calibration: images for int8; the training images where left out.
        estimator: of int8 ranges; left out for the one that loses least.

    The others mean what they mean in `ConvertOptions`.
    """

    targets: tuple[Target, ...] = DEFAULT_TARGETS
    schemes: str | None = None
    calibration: Path | None = None
    calibration_images: int = Field(default=500, ge=1)
    io: Border = "float32"
    activation: Activation | None = None
    estimator: Estimator | None = None
    effort: Effort = "normal"
    keep_float: tuple[str, ...] = ()
    mixed_precision: str | None = None
    onnx_weights: OnnxWeights = "uint8"
    onnx_layout: OnnxLayout | None = None
    onnx_batch: OnnxBatch | None = None
    minimum_deployment_target: str | None = None


class BenchPart(Value):
    """The section `[bench]`: options of `edgecls bench`.

    Attributes:
        data: labelled images; the test part of the training data where left out.
    """

    data: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    min_seconds: float = Field(default=1.0, ge=0)
    min_runs: int = Field(default=50, ge=1)


class RunRecipe(Recipe):
    """A recipe file for `edgecls run`: a Recipe, what it is applied to, and what comes after. Paths are relative to the file.

    Without anything to train, the model is converted as it is.

    Attributes:
        model, data: as `edgecls compress` takes them.
        out: folder for variants, artifacts and results.
    """

    may_be_empty: ClassVar[bool] = True

    model: Path
    data: Path
    out: Path
    labels: Path | None = None
    weights: Path | None = None
    preprocess: str | None = None
    fit: str | None = None
    filter: str | None = None
    model_output: str | None = None
    signature: str | None = None
    input_size: str | None = None
    custom_objects: Path | None = None
    convert: ConvertPart = ConvertPart()
    bench: BenchPart = BenchPart()


@dataclass(frozen=True)
class Outcome:
    """What a run made, or found unchanged; no variants where nothing was to be trained."""

    variants: VariantSet | None
    manifest: Manifest
    report: Report
    folder: Path


def run(path: Path, on_event: OnEvent = ignore, *, allow_code: bool = False) -> Outcome:
    """Do what a recipe file says.

    Args:
        path: the file.
        on_event: told about every step, and of each part that is kept.
        allow_code: load a model that holds code, or is beside code, and run it.

    Raises:
        RecipeError: the recipe has unknown or contradicting keys.
        InputError, StageError: as `compress`, `convert` and `bench`.
    """
    recipe = _absolute(read_recipe(path, RunRecipe), path.absolute().parent)
    _check(recipe, allow_code)
    variants, artifacts = recipe.out / "variants", recipe.out / "artifacts"
    done = _compress(recipe, variants, on_event, allow_code) if recipe.trains else None
    state = _State(recipe.out / STATE_NAME)
    manifest = _convert(recipe, variants, artifacts, state, on_event, allow_code)
    return Outcome(done, manifest, _bench(recipe, manifest, artifacts, state, on_event), recipe.out)


def _compress(recipe: RunRecipe, variants: Path, on_event: OnEvent, allow_code: bool) -> VariantSet:
    part = Recipe.model_validate({name: getattr(recipe, name) for name in Recipe.model_fields})
    options = CompressOptions(
        model=recipe.model,
        data=recipe.data,
        recipe=part,
        output=variants,
        allow_code=allow_code,
        resume=True,
        anew=True,
        **_opening(recipe),
    )
    with resumed_by_itself():
        return compress(options, on_event)


def _opening(recipe: RunRecipe) -> dict[str, Any]:
    """How the model is opened."""
    names = ("labels", "weights", "preprocess", "fit", "filter", "model_output", "signature", "input_size", "custom_objects")
    return {name: getattr(recipe, name) for name in names}


def _conversion(recipe: RunRecipe, model: Path, artifacts: Path | None, allow_code: bool) -> ConvertOptions:
    """What `convert` is asked for a model, or a folder of variants."""
    asked: dict[str, Any] = {name: getattr(recipe.convert, name) for name in ConvertPart.model_fields}
    asked["calibration"] = recipe.convert.calibration or recipe.data
    return ConvertOptions(model=model, output=artifacts, data=recipe.bench.data or recipe.data, allow_code=allow_code, **asked)


def _check(recipe: RunRecipe, allow_code: bool) -> None:
    """Refuse what converting and measuring would refuse, before anything is trained for them.

    Raises:
        InputError: options that nothing would heed, schemes that there are not, or images that are not there.
    """
    part, options = recipe.convert, _conversion(recipe, recipe.model, None, allow_code)
    named = {"data": recipe.data, "calibration in [convert]": part.calibration, "data in [bench]": recipe.bench.data}
    require_paths(named)
    check_goal(part.mixed_precision, options.data, part.keep_float)
    check_options(options, plan_jobs(part.targets, part.schemes, calibrated=True), None)
    for name, stages in recipe.wanted.items() if recipe.trains else ():
        if any(isinstance(stage, QuantizationAwareTraining) for stage in stages):
            refuse_goal_of_trained(name, part.mixed_precision)
    _require_images(options.calibration, "calibration", "calibrate on", "`calibration` in the section [convert]")
    _require_images(options.data, "data", "measure on", "`data` in the section [bench]")


def _require_images(path: Path | None, role: Role, purpose: str, key: str) -> None:
    if path is not None and not has_images_for(path, role):
        raise DataError(f"images to {purpose}", f"{path}, all of whose parts are for something else", f"name others with {key}")


def _convert(recipe: RunRecipe, variants: Path, artifacts: Path, state: _State, on_event: OnEvent, allow_code: bool) -> Manifest:
    part = recipe.convert
    options = _conversion(recipe, variants, artifacts, allow_code)
    calibration, measured = recipe.convert.calibration or recipe.data, recipe.bench.data or recipe.data
    jobs = set_options(options) if recipe.trains else {BASE: replace(options, model=recipe.model, **_opening(recipe))}
    made_of = _made_of(variants) if recipe.trains else {BASE: _made_of_base(recipe)}
    versions = json.dumps(toolchain(), sort_keys=True)
    with Workers() as workers:
        for name, job in jobs.items():
            wanted = fingerprint(part, content_hash(calibration), content_hash(measured), versions, made_of[name])
            if state.holds(name, wanted, _rows(artifacts, name)) and _are_whole(artifacts, name):
                on_event(Event("artifacts", name, remark=f"artifacts of {name}: unchanged, kept"))
                continue
            manifest = convert(job, on_event, workers)
            if all(row.status == "ok" for row in manifest.artifacts if row.variant == name):
                state.keep(name, wanted, _rows(artifacts, name))
    _withdraw(artifacts, made_of.keys(), state, on_event)
    return Manifest.read(artifacts)


def _withdraw(artifacts: Path, wanted: Collection[str], state: _State, on_event: OnEvent) -> None:
    """Take away what an earlier run made of variants that the recipe no longer names."""
    there = dict.fromkeys(row.variant for row in Manifest.read(artifacts).artifacts)
    gone = [name for name in there if name not in wanted and state.knows(name)]
    if gone:
        withdraw(artifacts, gone)
    for name in gone:
        state.forget(name)
        on_event(Event("artifacts", name, remark=f"artifacts of {name}: no longer in the recipe, removed"))


def _made_of(variants: Path) -> dict[str, str]:
    """Variant -> what its artifacts depend on beside the options of conversion; the base's carry labels and preprocessing too."""
    done = VariantSet.read(variants)
    base = fingerprint(done.source.model_dump_json(), done.image_spec.model_dump_json(), done.labels_source, *done.labels)
    return {BASE: base} | {variant.name: variant.fingerprint for variant in read_variants(variants)}


def _made_of_base(recipe: RunRecipe) -> str:
    """What the artifacts of a model that nothing is trained of depend on, beside the options of conversion."""
    opening = _opening(recipe)
    paths = (path for path in (recipe.model, *opening.values()) if isinstance(path, Path) and not are_imagenet(path))
    files = [sha256(path) for path in paths]
    return fingerprint(*files, *(f"{name} {value}" for name, value in opening.items()))


def _bench(recipe: RunRecipe, manifest: Manifest, artifacts: Path, state: _State, on_event: OnEvent) -> Report:
    part, results = recipe.bench, recipe.out / RESULTS_NAME
    data = part.data or recipe.data
    rows = (f"{row.name} {row.status} {row.sha256}" for row in manifest.artifacts)
    wanted = fingerprint(part, content_hash(data), environment().model_dump_json(), *rows)
    if results.is_file() and state.holds("bench", wanted, sha256(results)):
        on_event(Event("results", remark=f"{results}: unchanged, kept"))
        return Report.read(results)
    options = BenchOptions(min_seconds=part.min_seconds, min_runs=part.min_runs)
    report = bench(BenchRequest(artifacts, data=data, output=results, limit=part.limit, options=options), on_event)
    if not own_failures(report):
        state.keep("bench", wanted, sha256(results))
    return report


class _State:
    """What the parts of the last run were made of and what came out, in a file: a kill between a part and this leaves no wrong match."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        self._found: dict[str, str] = found if isinstance(found, dict) else {}

    def holds(self, part: str, wanted: str, made: str) -> bool:
        """Whether a part was made of exactly this and came out as it now is."""
        return self._found.get(part) == fingerprint(wanted, made)

    def knows(self, part: str) -> bool:
        """Whether a run made a part."""
        return part in self._found

    def forget(self, part: str) -> None:
        """There is no such part any more."""
        del self._found[part]
        write_text(self._path, json.dumps(self._found, indent=2) + "\n")

    def keep(self, part: str, wanted: str, made: str) -> None:
        """Remember what a part was made of, and what came out."""
        self._found[part] = fingerprint(wanted, made)
        write_text(self._path, json.dumps(self._found, indent=2) + "\n")


def _rows(folder: Path, variant: str) -> str:
    """What the manifest tells of a variant's artifacts; empty where there is none."""
    try:
        return "\n".join(row.model_dump_json() for row in Manifest.read(folder).artifacts if row.variant == variant)
    except ArtifactError:
        return ""


def _are_whole(folder: Path, variant: str) -> bool:
    """Whether the artifacts of a variant are there as they were made."""
    rows = [row for row in Manifest.read(folder).artifacts if row.variant == variant]
    return bool(rows) and all(row.status == "ok" and not change_since_conversion(folder / row.path, row) for row in rows)


def _absolute(recipe: RunRecipe, folder: Path) -> RunRecipe:
    bundled = {"data": DIGITS_NAME, "calibration": DIGITS_NAME, "labels": IMAGENET}

    def place(name: str, path: Path | None) -> Path | None:
        if path is None:
            return None
        there = folder / path
        is_own = there.is_file() if name == "labels" else there.exists()  # images may lie in a folder called imagenet
        return path if str(path) == bundled.get(name) and not is_own else there

    paths = {name: place(name, getattr(recipe, name)) for name in ("model", "data", "out", "labels", "weights", "custom_objects")}
    parts: dict[str, Value] = {
        "convert": recipe.convert.model_copy(update={"calibration": place("calibration", recipe.convert.calibration)}),
        "bench": recipe.bench.model_copy(update={"data": place("data", recipe.bench.data)}),
    }
    return recipe.model_copy(update={**paths, **parts})
