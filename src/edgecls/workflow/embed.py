"""embed: an artifacts folder and an app -> the app with artifacts, contract and golden set in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgecls.embed.app import App, Platform
from edgecls.embed.choice import named_artifacts, picked_artifact
from edgecls.embed.content import write_content
from edgecls.embed.growth import Growth, growth_of
from edgecls.embed.placement import place_files, remove_files
from edgecls.embed.platforms import find_app
from edgecls.errors import ArtifactError, InputError
from edgecls.evaluation.pick import pick_artifacts
from edgecls.records.app_contract import AppContract
from edgecls.records.artifact import SUFFIXES, Artifact, Manifest
from edgecls.system.store import staging
from edgecls.workflow.results import RESULTS_NAME, results_of
from edgecls.workflow.single_file import folder_of


@dataclass(frozen=True)
class EmbedRequest:
    """What `edgecls embed` was asked.

    Attributes:
        folder: artifacts folder, or a single file, which is then what goes in.
        into: the app.
        artifacts: names of those to put in; none: the one that the measurements pick.
        platform: of the app; None: as its files tell.
        golden: the user's own pictures; None: drawn ones.
        with_golden: whether a golden set goes in.
        code: whether a file of constants goes in.
        preprocess, fit, filter, labels: of a single file, where it does not say; as `predict` takes them.
    """

    folder: Path
    into: Path
    artifacts: tuple[str, ...] = ()
    platform: str | None = None
    golden: Path | None = None
    with_golden: bool = True
    code: bool = False
    preprocess: str | None = None
    fit: str | None = None
    filter: str | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Embedded:
    """What was done.

    Attributes:
        contract: what the app is told.
        growth: bytes that the app grows by; the file of constants aside, which is compiled.
        notes: what a person should know.
    """

    platform: Platform
    app: App
    contract: AppContract
    growth: Growth
    notes: list[str] = field(default_factory=list)


def embed(request: EmbedRequest) -> Embedded:
    """Put artifacts into an app, in the place of what an earlier call put there.

    Raises:
        InputError: no app, no artifact for it, or something in the way; nothing has changed then.
    """
    platform, app = find_app(request.into, request.platform)
    if request.code and not app.code:
        raise InputError("a namespace in the build file of the app module", f"{app.root} without", "add it, or leave --code out")
    with _opened(request) as (folder, manifest), staging(app.root) as staged:
        artifacts, notes = _chosen(request, folder, manifest, platform)
        content = write_content(staged / "content", folder, manifest, artifacts, request.golden, with_golden=request.with_golden)
        files = [(content.folder / name, f"{app.folder}/{name}") for name in content.names]
        packed = [(file, f"{app.packed}/{name}") for (file, _), name in zip(files, content.names, strict=True)]
        growth = growth_of(packed, app.stored, {f"{app.packed}/{name}" for name in content.golden})
        if request.code:
            (staged / "constants").write_text(platform.constants(app, content.contract), encoding="utf-8")
            files.append((staged / "constants", app.code))
        gone = place_files(app.root, staged, files, platform.name)
    left = [f"took out what an earlier call put in: {', '.join(gone)}"] if gone else []
    return Embedded(platform, app, content.contract, growth, [*notes, *content.notes, *left])


def take_out(into: Path) -> list[str]:
    """Remove from an app what was embedded; the paths of what is gone.

    Raises:
        InputError: no such folder, nothing was embedded, or someone changed a file since; nothing has changed then.
    """
    if not into.is_dir():
        raise InputError("the folder of an app", f"{into}, which is none", "name it with --into")
    with staging(into) as staged:
        return remove_files(into, staged)


@contextmanager
def _opened(request: EmbedRequest) -> Iterator[tuple[Path, Manifest]]:
    """The artifacts folder; of a single file one that is made for it."""
    choices = (request.preprocess, request.fit, request.filter, request.labels)
    if not _is_single(request.folder):
        if choices != (None, None, None, None):
            found = f"them with {request.folder}, whose manifest says it"
            raise InputError("--preprocess, --fit, --filter and --labels with a single file", found, "leave them out")
        yield request.folder, Manifest.read(request.folder)
        return
    if request.artifacts:
        raise InputError("--artifact with an artifacts folder", f"it with {request.folder}, a single file", "leave it out")
    with folder_of(request.folder, *choices) as found:
        yield found


def _is_single(path: Path) -> bool:
    return path.is_file() or path.suffix == SUFFIXES["coreml"]


def _chosen(request: EmbedRequest, folder: Path, manifest: Manifest, platform: Platform) -> tuple[list[Artifact], list[str]]:
    if _is_single(request.folder):
        spec = manifest.image_spec
        notes = [spec.note if spec.provenance == "assumed" else "", spec.resizing_note]
        return named_artifacts([manifest.artifacts[0].name], manifest, platform), [note for note in notes if note]
    if request.artifacts:
        return named_artifacts(request.artifacts, manifest, platform), []
    path = folder / RESULTS_NAME
    if not path.is_file():
        remedy = "run `edgecls bench` on labelled images, or name artifacts with --artifact"
        raise ArtifactError("measurements to pick an artifact by", f"no {path}", remedy)
    report = results_of(path, folder, manifest)
    artifact, why = picked_artifact(report.picks or pick_artifacts(report.measurements), manifest, platform)
    return [artifact], [why]
