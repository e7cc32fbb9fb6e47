"""compress --prune-channels: smaller models that convert, combine, resume, and say what they lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.models import load_model
from edgecls.records.recipe import Recipe, is_variant_name
from edgecls.records.variant import MODEL_NAME, Variant
from edgecls.workflow import CompressOptions, ConvertOptions, compress, convert, read_variants

TRAINING = {"epochs": 1, "batch": 8, "learning_rate": 0.001}
CHANNELS = {"share": 0.5, "rounds": 2, "images": 16}
COMBINED = ("pruned-channels50-qat", "pruned-channels50-pruned50")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    body = [layers.Conv2D(32, 3, name="first"), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(16, 3, name="second")]
    head = [layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", name="classes")]
    path = tmp_path_factory.mktemp("small") / "small.keras"
    keras.Sequential([keras.Input((12, 12, 3)), keras.Sequential(body, name="body"), *head]).save(path)
    return path


@pytest.fixture(scope="module")
def variants(model: Path, small_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compressed") / "small.variants"
    compress(options(model, small_images, out, qat={}, pruning={"sparsity": 0.5}, variants=[*COMBINED]))
    return out


def options(model: Path, images: Path, out: Path, **parts: Any) -> CompressOptions:
    recipe = Recipe.model_validate({"training": TRAINING, "channels": CHANNELS, **parts})
    return CompressOptions(model, images, recipe, output=out, preprocess="0..1")


def test_combinations_have_names_that_are_read_again() -> None:
    recipe = Recipe.model_validate(
        {"channels": CHANNELS, "qat": {}, "pruning": {"sparsity": 0.5}, "clustering": {"clusters": 16}}
    )
    assert "pruned-channels50-pruned50-clustered16-qat" in recipe.possible
    assert "pruned-channels50-clustered16" in recipe.possible
    assert all(map(is_variant_name, recipe.possible))
    assert not any(map(is_variant_name, ("pruned-channels", "pruned-channels50-", "pruned--qat")))


def test_every_variant_says_what_it_lost(variants: Path) -> None:
    made = {variant.name: variant for variant in read_variants(variants)}
    assert made.keys() == {"pruned-channels50", *COMBINED}
    for name, variant in made.items():
        assert variant.macs is not None
        assert variant.macs.after / variant.macs.before == pytest.approx(0.5, abs=0.02)
        assert variant.recipe["channels"]["share"] == 0.5
        layers = {layer.name: layer for layer in load_model(variants / name / MODEL_NAME).model.layers}
        for layer in ("first", "second"):
            assert layers[layer].filters == variant.widths[layer].after
        assert variant.widths["first"].after < variant.widths["first"].before == 32
        assert variant.widths["classes"].after == 3
    epochs = [epoch.stage for epoch in made["pruned-channels50"].epochs]
    assert epochs == ["pruned-channels50 round 1", "pruned-channels50"]
    assert made["pruned-channels50-pruned50"].sparsity >= 0.5
    assert not list(variants.glob(".*.npz"))


def test_a_smaller_model_converts_to_every_format(variants: Path, small_images: Path, tmp_path: Path) -> None:
    folder = variants / "pruned-channels50-qat"
    manifest = convert(
        ConvertOptions(folder, schemes="float32,int8", calibration=small_images, data=small_images, output=tmp_path / "out")
    )
    assert [row.status for row in manifest.artifacts] == ["ok"] * 6
    assert manifest.recipes["pruned-channels50-qat"]["channels"]["share"] == 0.5


@pytest.mark.parametrize("second_is_kept", [True, False])
def test_a_stopped_run_ends_with_the_same_weights(
    model: Path, variants: Path, small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second_is_kept: bool
) -> None:
    """What was chosen before the stop is not looked for again: how many channels stay in the end, and in each round which."""
    from edgecls.compression import stages
    from edgecls.compression.channels import rounds

    asked = options(model, small_images, tmp_path / "again")
    fine_tune, calls = stages.fine_tune, []

    def stops_in_the_last_round(job: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(job.stage)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fine_tune(job, *arguments, **named)

    monkeypatch.setattr(stages, "fine_tune", stops_in_the_last_round)
    with pytest.raises(KeyboardInterrupt):
        compress(asked)
    monkeypatch.undo()
    kept = sorted((tmp_path / "again").glob(".*.round.checkpoint.npz"))
    assert len(kept) == 2
    names = {path.name for path in (tmp_path / "again").glob(".*.checkpoint.npz")} - {path.name for path in kept}
    assert names == {".pruned-channels50.1.training.checkpoint.npz"}  # not that of a variant of 50.1 %
    if not second_is_kept:
        kept[1].unlink()

    def looks_again(*arguments: Any) -> Any:
        raise AssertionError("looked for what was chosen already")

    monkeypatch.setattr(rounds, "choose", looks_again)
    if second_is_kept:
        monkeypatch.setattr(rounds, "taylor", looks_again)
    compress(CompressOptions(**{**vars(asked), "resume": True}))
    place = Path("pruned-channels50") / MODEL_NAME
    first, second = (load_model(folder / place).model.get_weights() for folder in (variants, tmp_path / "again"))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_what_cannot_go_is_refused_before_training(command, model: Path, small_images: Path, tmp_path: Path) -> None:
    start = ("compress", model, "--data", small_images, "--preprocess", "0..1", "-o", tmp_path / "out")
    for share, expected in (("0.99", "of which"), ("1", "less than 1"), ("0", "greater than 0")):
        done = command(*start, "--prune-channels", share)
        assert done.exit_code == 2
        assert expected in " ".join(done.stderr.split())
    assert "--prune-channels together with" in " ".join(command(*start, "--qat", "--no-distill").stderr.split())
    assert not (tmp_path / "out").exists()


def test_inspect_tells_what_a_share_would_save(command, model: Path, small_images: Path, tmp_path: Path) -> None:
    found = json.loads(command("inspect", model, "--compression", "--json").stdout)["channels"]
    assert [group["layers"] for group in found["groups"]] == [["first"], ["second"]]
    assert found["protected"] == {"classes": "the classes stay"}
    assert found["macs"] == 100 * 9 * 3 * 32 + 64 * 9 * 32 * 16 + 16 * 3
    half = next(removal for removal in found["removals"] if removal["share"] == 0.5)
    assert half["macs"] / found["macs"] == pytest.approx(0.5, abs=0.02)
    asked = options(model, small_images, tmp_path / "one", channels={**CHANNELS, "rounds": 1, "importance": "magnitude"})
    compress(asked)
    made = Variant.read(tmp_path / "one" / "pruned-channels50")
    assert made.macs is not None
    assert made.macs.after == half["macs"]  # as told before
    text = command("inspect", model, "--compression").stdout
    assert "--prune-channels" in text
