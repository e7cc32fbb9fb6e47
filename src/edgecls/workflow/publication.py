"""Publication: a finished conversion takes the place of an earlier one in its folder, in one step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from edgecls.errors import EdgeclsError
from edgecls.records.artifact import MANIFEST_NAME, REFERENCE_NAME, Artifact, Manifest
from edgecls.records.note import split_note
from edgecls.records.recipe import BASE
from edgecls.system.store import changing, staging


def publish(folder: Path, staged: Path, manifest: Manifest, files: list[tuple[Path, str]], variant: str) -> None:
    """Put a conversion of one variant in place; `manifest` is told what stays of earlier ones.

    Artifacts of other variants of the same model stay: the base's come first, then variant after variant as they were first made.

    Args:
        staged: the private folder that the files are in.
        files: (finished file or package, its name in the folder).

    Raises:
        OutputError: another process does not come to an end with its change of the folder.
    """
    with changing(folder, staged) as change:
        previous = _previous(folder)
        kept = _kept(previous, manifest, folder) if previous else []
        stale = _merge(manifest, previous, kept, variant) if previous else []
        superseded = [*stale, *(f"{row.path}.rejected" for row in manifest.artifacts if row.status == "ok")]
        if variant == BASE or not kept:
            superseded.append(REFERENCE_NAME)  # scores of an earlier run say nothing about this one
        for path, name in files:
            change.put(path, name)
        change.write(MANIFEST_NAME, manifest.to_json())
        change.remove(superseded)


def withdraw(folder: Path, variants: Collection[str]) -> None:
    """Take the artifacts of some variants away, with what the manifest tells of them, in one step.

    Raises:
        ArtifactError: no folder of artifacts.
        OutputError: it cannot be changed.
    """
    with staging(folder) as staged, changing(folder, staged) as change:
        manifest = Manifest.read(folder)
        gone = [row for row in manifest.artifacts if row.variant in variants]
        manifest.artifacts = [row for row in manifest.artifacts if row not in gone]
        manifest.recipes = {name: recipe for name, recipe in manifest.recipes.items() if name not in variants}
        for notes in (manifest.notes, manifest.details):
            notes[:] = [note for note in notes if not _concerns(note, gone)]
        change.write(MANIFEST_NAME, manifest.to_json())
        change.remove([row.path for row in gone])


def _merge(manifest: Manifest, previous: Manifest, kept: list[Artifact], variant: str) -> list[str]:
    """Add to a manifest what stays of the previous one; names of the files that nothing tells of any more."""
    order = list(dict.fromkeys([BASE, *(row.variant for row in previous.artifacts), variant]))
    manifest.artifacts = sorted([*manifest.artifacts, *kept], key=lambda row: order.index(row.variant))
    variants = {row.variant for row in kept}
    manifest.recipes |= {name: recipe for name, recipe in previous.recipes.items() if name in variants - {variant}}
    manifest.repairs += [repair for repair in previous.repairs if kept and repair not in manifest.repairs]
    manifest.notes += [note for note in previous.notes if _concerns(note, kept)]
    manifest.details += [note for note in previous.details if _concerns(note, kept)]
    manifest.data += [entry for entry in previous.data if kept and entry.role not in {new.role for new in manifest.data}]
    listed = {artifact.path for artifact in manifest.artifacts}
    stale = [row.path for row in previous.artifacts if row.path not in listed]
    there = [row.path for row in previous.artifacts if row.status == "ok"]
    removed = [path for path in there if path in stale]
    if previous.source.sha256 != manifest.source.sha256 and there:
        which = f": {', '.join(removed)}" if removed else ""
        manifest.notes.append(
            f"replaced the artifacts of another model, {previous.source.name} (-o gives each its folder){which}"
        )
    elif removed and _scores_of(previous) != _scores_of(manifest):
        manifest.notes.append(
            f"removed artifacts of another name, other labels, preprocessing or options of the model: {', '.join(removed)}"
        )
    return stale


def _concerns(note: str, rows: Sequence[Artifact]) -> bool:
    name, _ = split_note(note, {row.name for row in rows})
    return bool(name)


def _previous(folder: Path) -> Manifest | None:
    try:
        return Manifest.read(folder)
    except EdgeclsError:
        return None


def _kept(previous: Manifest, manifest: Manifest, folder: Path) -> list[Artifact]:
    """Rows of an earlier run of the same model, labels and preprocessing whose artifacts were not made again.

    What failed stays only where it is of another variant: when all variants are converted in turn, the last must not hide it.
    """
    if _scores_of(previous) != _scores_of(manifest):
        return []
    made = {artifact.name for artifact in manifest.artifacts}
    ours = {artifact.variant for artifact in manifest.artifacts}
    others = [artifact for artifact in previous.artifacts if artifact.name not in made]
    return [row for row in others if (row.status != "ok" and row.variant not in ours) or _is_sound(row, folder)]


def _scores_of(manifest: Manifest) -> tuple[object, ...]:
    """What all artifacts of a folder have in common."""
    return manifest.source, manifest.labels, manifest.image_spec, manifest.output_kind


def _is_sound(artifact: Artifact, folder: Path) -> bool:
    return artifact.status == "ok" and (folder / artifact.path).exists()
