"""int8 and its kin: ranges, scales, and the passes that one TFLite graph goes through.

Ranges come from calibration and are settled first: `clips`, `logits`, `additions`, `scales`. A copy of the graph then goes through
`bias_correction`, `small_channels`, `rounding`, `float16_scales`, in the order of `Maker.make` in `int8`, and `reduced` writes it. Where
training has learned the ranges, `learned` has an order of its own: it corrects no bias and rounds nothing anew.
"""
