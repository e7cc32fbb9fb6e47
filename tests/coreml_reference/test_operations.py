"""Each operation of the table against an oracle that is not ours, over shapes, paddings, strides, dilations, groups and dtypes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreml_proofs import PROOFS, Case, first, last, pool_oracle, windows
from edgecls.coreml_reference import open_program
from edgecls.coreml_reference.operations import OPERATIONS
from edgecls.system.extras import require
from mil_packages import build, fixed_shape, inferred, write

MANY = {"conv", "conv_transpose", "max_pool", "avg_pool", "slice_by_index", "pad", "layer_norm", "resize_bilinear", "matmul"}
IMAGES = 3  # more than one, and none of the sizes that a single image's axes have at their first place


def test_every_operation_has_a_proof():
    assert set(PROOFS) == set(OPERATIONS)


@pytest.mark.parametrize("name", sorted(PROOFS))
def test_computes_what_the_oracle_says(name: str):
    require("coremltools")

    @settings(
        max_examples=30 if name in MANY else 6,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.data())
    def run(data: Any) -> None:
        check(PROOFS[name](data.draw, name), data.draw(st.integers(0, 2**16)))

    run()


def check(case: Case, seed: int) -> None:
    """Compute the case for one image, and where its axes allow it for several at a time: each must come out as the oracle says."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813

    rng = np.random.default_rng(seed)
    several = all(shape[:1] == (1,) for shape, _ in case.inputs.values())
    images = [{name: make(rng, shape) for name, (shape, make) in case.inputs.items()} for _ in range(IMAGES if several else 1)]
    blocks = lambda **values: case.block(mb, **values)  # noqa: E731
    kinds = {name: (values.shape, values.dtype.name) for name, values in images[0].items()}
    with tempfile.TemporaryDirectory() as folder:
        program = build(blocks, kinds, case.opset)
        opened = open_program(write(program, Path(folder), case.opset))
    found = opened.run({name: stacked([image[name] for image in images]) for name in images[0]})
    wanted = [inferred(blocks, image, case.opset) if case.expected is None else expected(case, image) for image in images]
    for index, (output, variable) in enumerate(zip(opened.outputs, program.functions["main"].outputs, strict=True)):
        alone = fixed_shape(variable)[:1] == (1,)
        for image, oracle in enumerate(wanted):
            values = found[output][image : image + 1] if alone else found[output][image if several else 0]
            compare(values, np.asarray(oracle[index]), known_shape(variable, oracle[index]), case.relative)


def known_shape(variable: Any, oracle: Any) -> tuple[int, ...]:
    """What MIL infers; the oracle's size of an axis whose size is computed."""
    from coremltools.converters.mil.mil.types.symbolic import is_symbolic

    if not any(is_symbolic(size) for size in variable.shape):
        return tuple(int(size) for size in variable.shape)
    sizes = zip(variable.shape, np.shape(oracle), strict=True)
    return tuple(size if is_symbolic(inferred_size) else int(inferred_size) for inferred_size, size in sizes)


def stacked(images: list[np.ndarray]) -> np.ndarray:
    """One input of several images as `Program.run` takes it: a first axis of size 1 counts them."""
    return np.concatenate(images) if images[0].shape[:1] == (1,) else np.stack(images)


def expected(case: Case, image: dict[str, np.ndarray]) -> list[np.ndarray]:
    assert case.expected is not None
    values = case.expected(**image)
    return list(values) if isinstance(values, tuple) else [values]


def compare(values: np.ndarray, oracle: np.ndarray, shape: tuple[int, ...], relative: float) -> None:
    assert values.shape == shape
    assert oracle.size == values.size
    oracle = oracle.reshape(shape)
    if oracle.dtype.kind == "f":
        np.testing.assert_allclose(values, oracle, rtol=relative, atol=relative * max(1.0, float(np.abs(oracle).max())))
    else:
        np.testing.assert_array_equal(values, oracle)


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(st.data())
def test_same_pooling_is_tensorflows(data: Any):
    """The proof of pooling is NumPy; its `same` is TensorFlow's."""
    tf: Any = require("tensorflow")
    window = data.draw(windows(("same",), dilated=False))
    window.strides = [
        min(step, size) for step, size in zip(window.strides, window.kernel, strict=True)
    ]  # TensorFlow wants no gaps
    x = np.random.default_rng(0).normal(size=window.shape).astype(np.float32)
    for name, kind in (("max_pool", "MAX"), ("avg_pool", "AVG")):
        theirs = first(tf.nn.pool(last(x), window.kernel, kind, window.strides, "SAME"))
        np.testing.assert_allclose(pool_oracle(name, window, False, True)(x), theirs, rtol=1e-5, atol=1e-6)
