"""Which artifacts go into an app: those that were named, or the one that the measurements pick for its platform."""

from __future__ import annotations

from collections.abc import Sequence

from edgecls.embed.app import Platform
from edgecls.errors import InputError
from edgecls.records.artifact import FORMATS, Artifact, Manifest
from edgecls.records.pick import Pick
from edgecls.records.recipe import BASE


def named_artifacts(names: Sequence[str], manifest: Manifest, platform: Platform) -> list[Artifact]:
    """The artifacts of these names.

    Raises:
        InputError: one is not there, failed, was rejected, or is not for this platform.
    """
    known = {artifact.name: artifact for artifact in manifest.artifacts}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            fitting = [artifact.name for artifact in _sound(manifest, platform)]
            raise InputError("an artifact of this folder", name, f"choose of {', '.join(fitting) or 'another folder'}")
        artifact = known[name]
        if artifact.status != "ok":
            reason = artifact.reason or (artifact.parity.reason if artifact.parity else "") or "no reason is known"
            raise InputError("an artifact that passed verification", f"{name}, {artifact.status}: {reason}", "choose another")
        if artifact.target not in platform.targets:
            raise InputError(f"an artifact for {platform.app}", f"{name}, which is {FORMATS[artifact.target]}", platform.why_not)
        chosen.append(artifact)
    return chosen


def picked_artifact(picks: Sequence[Pick], manifest: Manifest, platform: Platform) -> tuple[Artifact, str]:
    """The artifact that the measurements pick for a platform, in the first of its formats that has one, and why.

    Raises:
        InputError: none is picked.
    """
    sound = {artifact.name: artifact for artifact in _sound(manifest, platform)}
    if not sound:
        made = ", ".join(sorted({FORMATS[artifact.target] for artifact in manifest.artifacts})) or "nothing"
        wanted = ",".join(platform.targets)
        remedy = f"make one: edgecls convert MODEL --targets {wanted}"
        if any(artifact.variant != BASE for artifact in manifest.artifacts):
            both = ",".join(dict.fromkeys([*(artifact.target for artifact in manifest.artifacts), *platform.targets]))
            remedy = (
                f"make one of the same variant, not of the model: edgecls convert VARIANTS --targets {wanted}, with the folder that "
                f"`edgecls compress` made, or edgecls optimize with --targets {both}"
            )
        raise InputError(f"a verified artifact for {platform.app}", f"none in the folder, which holds {made}", remedy)
    ours = [pick for target in platform.targets for pick in picks if pick.target == target]
    for pick in ours:
        if pick.artifact in sound:
            return sound[pick.artifact], pick.sentence
    found = "; ".join(pick.sentence for pick in ours) or "no measurement of one"
    raise InputError(f"a pick for {platform.app}", found, f"name one with --artifact: {', '.join(sound)}")


def _sound(manifest: Manifest, platform: Platform) -> list[Artifact]:
    return [artifact for artifact in manifest.artifacts if artifact.status == "ok" and artifact.target in platform.targets]
