"""Whether what is wrong with a quantized ONNX file is this processor's sums, before anything else is blamed."""

from __future__ import annotations

import platform
from pathlib import Path

from edgecls.data import ImageSet
from edgecls.data.multi_hot import decision_of
from edgecls.evaluation.answers import flips_of, join, judge_scores
from edgecls.formats import clips_sums, detect
from edgecls.records.diagnosis import Advice
from edgecls.records.image_spec import ImageSpec
from edgecls.runners import open_exact, open_runner
from edgecls.system.processor import instruction_sets, may_saturate

_BATCH = 32


def clipping_advice(path: Path, spec: ImageSpec, images: ImageSet, command: str | None) -> list[Advice]:
    """What to do about sums of uint8 × int8 products that this processor clips at 16 bits; nothing where it clips none of the file's.

    Args:
        command: makes the file anew, with weights that nothing clips; None where edgecls did not make it.
    """
    if detect(path) != "onnx" or not may_saturate(platform.machine(), instruction_sets()) or not clips_sums(path):
        return []
    runners = [opened(path, spec=spec) for opened in (open_runner, open_exact)]
    default, exact = (
        join([judge_scores(runner.predict(pixels), None, runner.output_kind) for pixels in images.batches(_BATCH)])
        for runner in runners
    )
    changed, decision = flips_of(default, exact, "exact"), decision_of(runners[0].output_kind, runners[0].outputs)
    remedy = "Convert again: new files have uint8 weights" if command else "Quantize to uint8 weights (QUInt8), or to 7 bits"
    text = (
        f"This processor clips the file's sums of uint8 × int8 products at 16 bits, which changes the {decision} on {changed.count} of "
        f"{changed.images} images; processors with VNNI and ARM do not, nor does the session option session.x64quantprecision=1, and what "
        f"the layers lose here is of clipped sums. {remedy}."
    )
    return [Advice(kind="clipped_sums", text=text, command=command)]
