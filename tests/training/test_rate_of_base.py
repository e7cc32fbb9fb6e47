"""`train --find-rate` on a base: the rate is tested on what will train with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecls.data.pixel_file import PixelFile
from edgecls.records.image_spec import ImageSpec
from edgecls.records.training import TrainingPlan
from edgecls.training.networks import Body, build_network
from edgecls.training.objectives import Objective
from edgecls.training.rates import range_test
from edgecls.training.streams import Stream

SPEC = ImageSpec(height=6, width=6, channels=1, color_order="GRAY")


def test_a_base_stays_frozen_while_rates_are_tested(tmp_path: Path):
    import keras

    def body(pixels: Any) -> Body:
        convolution = keras.layers.Conv2D(4, 3)
        return Body(convolution(pixels), base=(convolution,))

    plan = TrainingPlan(batch=8, on_weights=True)
    network = build_network(plan, SPEC, 2, body)
    images = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 1), np.uint8)
    images.tofile(tmp_path / "pixels")
    pixels = PixelFile(str(tmp_path / "pixels"), (6, 6, 1), "uint8", len(images))
    trained = Stream(pixels, np.arange(16), np.arange(16) % 2, batch=plan.batch)
    before, head = network.base[0].get_weights(), network.model.get_layer("head")
    first, moved = head.get_weights(), []

    def look(done: int, total: int) -> None:
        assert all(np.array_equal(*pair) for pair in zip(network.base[0].get_weights(), before, strict=True))
        moved.append(not np.array_equal(head.get_weights()[0], first[0]))

    assert len(range_test(network, plan, Objective(plan, 2), trained, look)) > 2
    assert all(moved) and all(np.array_equal(*pair) for pair in zip(head.get_weights(), first, strict=True))
