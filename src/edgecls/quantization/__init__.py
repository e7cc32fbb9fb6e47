"""int8 and its kin: ranges, scales, and the passes that one TFLite graph goes through.

Channels of a copy of the graph may be brought to one height before (`equalization`, with `heights` of a few images); `material` is what is
seen of both in one pass. Ranges come from calibration and are settled first: `clips`, `logits`, `additions`, `scales`. A copy of the graph
then goes through `bias_correction`, `small_channels`, `rounding`, `float16_scales`, in the order of `Maker.make` in `int8`, and `reduced`
writes it. Where training has learned the ranges, `learned` has an order of its own: it corrects no bias and rounds nothing anew.
"""
