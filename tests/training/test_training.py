"""The training loop on a small model: what it learns, keeps, saves and refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecls.compression import StageJob, StageResult, TrainingImages, train_stage
from edgecls.compression.pruning import has_pattern
from edgecls.data import open_images
from edgecls.errors import CompressionError, OutputError, RecipeError
from edgecls.records.image_spec import ImageSpec
from edgecls.records.recipe import Clustering, Distillation, Pruning, QuantizationAwareTraining, Training

SPEC = ImageSpec(height=6, width=6, channels=1, color_order="GRAY", std=(255.0,))
EPOCHS = 3


def brightest_third(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright band: which of three it is can be learned in a few steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 120, (count, 6, 6, 1))
    for image, label in zip(pixels, labels, strict=True):
        image[2 * label : 2 * label + 2] += 120
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bands") / "bands.npz"
    pixels, labels = brightest_third(300)
    np.savez(path, x=pixels, y=labels)
    return path


def network(head: str = "softmax", outputs: int = 3, momentum: float = 0.8) -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    inputs = tf_keras.Input((6, 6, 1))
    value = layers.Conv2D(8, 3, name="first")(inputs)
    value = layers.BatchNormalization(momentum=momentum)(value)
    value = layers.ReLU()(value)
    value = layers.Flatten()(value)
    value = layers.Dropout(0.3)(value)
    value = layers.Dense(outputs, name="last")(value)
    if head != "logits":
        value = layers.Activation(head)(value)
    return tf_keras.Model(inputs, value)


def job(archive: Path, folder: Path, stages: tuple = (), *, kind: Any = "softmax", outputs: int = 3, **training: Any) -> StageJob:
    recipe = Training.model_validate({"epochs": EPOCHS, "learning_rate": 0.01, "batch": 16, **training})
    labels = [f"class_{index}" for index in range(max(outputs, 2))]
    images = TrainingImages(open_images(archive, SPEC, role="training", labels=labels), SPEC, outputs, recipe)
    start = network(kind, outputs)
    return StageJob(
        name="test",
        start=lambda: start,
        stages=stages,
        training=recipe,
        images=images,
        kind=kind,
        outputs=outputs,
        teacher=network(kind, outputs),
        checkpoint=folder / "checkpoint.npz",
        fingerprint="one",
    )


def weights_of(result: StageResult) -> bytes:
    return b"".join(value.tobytes() for value in result.model.get_weights())


@pytest.mark.parametrize("kind", ["softmax", "logits", "sigmoid"])
def test_the_loss_fits_the_output(archive: Path, tmp_path: Path, kind: str) -> None:
    result = train_stage(job(archive, tmp_path, kind=kind))
    assert result.epochs[-1].held_out_accuracy > 0.9  # chance is 0.33
    assert result.epochs[-1].loss < result.epochs[0].loss


def test_one_sigmoid_output_decides_between_two_classes(tmp_path: Path) -> None:
    pixels, labels = brightest_third(300)
    np.savez(tmp_path / "two.npz", x=pixels, y=(labels == 2).astype(int))
    result = train_stage(job(tmp_path / "two.npz", tmp_path, kind="sigmoid", outputs=1))
    assert result.epochs[-1].held_out_accuracy > 0.95  # always the same answer is right on 0.67


def test_scores_that_rounded_to_nought_still_have_a_gradient() -> None:
    """Before the softmax the logit is still known; the logarithm of a score of 0 would have no gradient."""
    import tensorflow as tf

    from edgecls.training.losses import label_loss, logits_of

    logits = tf.Variable(tf.constant([[200.0, -200.0]]))

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            loss = label_loss(logits_of(tf.nn.softmax(logits), "softmax"), tf.constant([1], tf.int64), "softmax", 2)
        return tape.gradient(loss, logits)

    np.testing.assert_allclose(gradient().numpy(), [[1, -1]], atol=1e-6)


def test_distillation_is_nought_where_both_agree_and_draws_towards_the_teacher(archive: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from edgecls.training.losses import distillation_loss

    recipe = Distillation(temperature=3)
    logits = tf.constant([[1.0, 2.0, -1.0], [0.0, 5.0, 1.0]])
    for kind in ("softmax", "sigmoid"):
        assert float(distillation_loss(logits, logits, kind, 3, recipe)) == pytest.approx(0, abs=1e-6)
        assert float(distillation_loss(logits, logits[:, ::-1], kind, 3, recipe)) > 0.1
    taught = train_stage(job(archive, tmp_path, distillation={"weight": 1.0}))
    assert taught.epochs[-1].held_out_accuracy < 0.8  # the teacher knows nothing, and the labels count for nothing


def test_pruning_reaches_what_was_asked_in_however_few_steps(archive: Path, tmp_path: Path) -> None:
    result = train_stage(job(archive, tmp_path, (Pruning(sparsity=0.7),), epochs=1, limit=None, batch=128))
    assert job(archive, tmp_path, batch=128).images.steps == 2
    assert has_pattern(result.model.get_layer("first").kernel.numpy(), 0.7, "unstructured")
    assert has_pattern(result.model.get_layer("last").kernel.numpy(), 0.7, "unstructured")
    assert result.kernels["last"].sparsity == pytest.approx(0.7, abs=1 / 384)


def test_a_layer_that_cannot_have_the_pattern_says_so(archive: Path, tmp_path: Path) -> None:
    result = train_stage(job(archive, tmp_path, (Pruning(sparsity=0.5, pattern="2:4"),), epochs=1))
    assert result.kernels["first"].sparsity == 0
    assert "1 inputs and 8 outputs are no multiples of the pattern 2:4" in result.kernels["first"].note
    assert has_pattern(result.model.get_layer("last").kernel.numpy(), 0.5, "2:4")


def test_skipped_layers_keep_their_weights(archive: Path, tmp_path: Path) -> None:
    result = train_stage(job(archive, tmp_path, (Pruning(sparsity=0.5, skip_first=True),), epochs=1))
    assert result.kernels["first"].sparsity == 0
    assert result.kernels["last"].sparsity == 0.5
    with pytest.raises(CompressionError, match="a kernel that can be pruned"):
        train_stage(job(archive, tmp_path, (Pruning(sparsity=0.5, skip_first=True, skip_last=True),)))


def test_clusters_keep_the_zeros_of_pruning(archive: Path, tmp_path: Path) -> None:
    pruning = Pruning(sparsity=0.5)
    pruned = train_stage(job(archive, tmp_path, (pruning,)))
    start = dataclasses.replace(job(archive, tmp_path, (pruning, Clustering(clusters=8))), start=lambda: pruned.model)
    before = pruned.model.get_layer("last").kernel.numpy().copy()
    result = train_stage(start)
    after = result.model.get_layer("last").kernel.numpy()
    assert (after[before == 0] == 0).all()
    assert (after != before).any()
    assert len(np.unique(after)) <= 8
    assert len(np.unique(result.model.get_layer("first").kernel.numpy())) <= 8
    assert result.epochs[-1].held_out_accuracy > 0.8


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_going_on_from_a_checkpoint_gives_the_same_bits(archive: Path, tmp_path: Path, optimizer: str) -> None:
    options: dict[str, Any] = {"optimizer": optimizer, "augmentation": {"shift": 0.2}, "distillation": {}, "patience": 3}
    whole = train_stage(job(archive, tmp_path, (Pruning(sparsity=0.5),), **options))
    (tmp_path / "again").mkdir()
    stopped = dataclasses.replace(job(archive, tmp_path / "again", (Pruning(sparsity=0.5),), **options), on_epoch=stop_after(2))
    with pytest.raises(KeyboardInterrupt):
        train_stage(stopped)
    resumed = train_stage(dataclasses.replace(job(archive, tmp_path / "again", (Pruning(sparsity=0.5),), **options), resume=True))
    assert weights_of(resumed) == weights_of(whole)
    untimed = [[epoch.model_copy(update={"step_ms": 0}) for epoch in result.epochs] for result in (resumed, whole)]
    assert untimed[0] == untimed[1]


def stop_after(epochs: int) -> Any:
    def tell(epoch: Any) -> None:
        if epoch.epoch == epochs:
            raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_kernel_with_the_input_scaling_in_it_is_not_wiped_out(archive: Path, tmp_path: Path, optimizer: str) -> None:
    """Steps of 0.01 are a hundred times such a kernel's weights; trained as before folding, it moves about as far as they are large."""
    asked = job(archive, tmp_path, epochs=2, optimizer=optimizer)
    model = asked.start()
    first = model.get_layer("first")
    first.set_weights([first.kernel.numpy() / 255, first.bias.numpy()])
    before = first.kernel.numpy().copy()
    result = train_stage(dataclasses.replace(asked, start=lambda: model))
    after = result.model.get_layer("first").kernel.numpy()
    assert 0.001 < np.linalg.norm(after - before) / np.linalg.norm(before) < 3


def test_batch_norms_follow_the_model_within_few_steps(archive: Path, tmp_path: Path) -> None:
    """A mean that is wrong by 5 at the start, in 48 steps: with the momentum of 0.99, that of Keras, 0.62 of that would be left."""
    start = network(momentum=0.99)
    norm = next(layer for layer in start.layers if "batch_norm" in layer.name)
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean + 5, variance])
    asked = dataclasses.replace(job(archive, tmp_path, learning_rate=1e-6), start=lambda: start)
    images = np.concatenate([inputs for inputs, _ in asked.images.epoch(0)])
    convolved = start.get_layer("first")(images).numpy()
    result = train_stage(asked)
    found = next(layer for layer in result.model.layers if "batch_norm" in layer.name)
    # half an epoch is 8 steps: (7 / 8) ** 48 of 5 is left, 0.008; eight batches of 16 images differ from all by less than the rest
    assert found.moving_mean.numpy() == pytest.approx(convolved.mean((0, 1, 2)), abs=0.1)
    assert found.momentum == 0.99


def test_batch_norms_of_quantization_aware_training_follow_it_too(archive: Path, tmp_path: Path) -> None:
    from edgecls.compression.qat import prepare_qat
    from edgecls.training.batch_norms import following, momenta

    images = job(archive, tmp_path).images
    qat = prepare_qat(network(momentum=0.99), QuantizationAwareTraining(), images.calibration(32))
    with following(qat.model, steps=10), momenta(qat.model) as norms:
        assert [norm.momentum for norm in norms] == [pytest.approx(0.8)]  # five steps
    assert [norm.momentum for norm in norms] == [0.99]


def test_another_seed_gives_other_weights(archive: Path, tmp_path: Path) -> None:
    first, second = (train_stage(job(archive, tmp_path, epochs=1, seed=seed)) for seed in (0, 1))
    assert weights_of(first) != weights_of(second)


def test_the_checkpoint_of_another_job_is_refused(archive: Path, tmp_path: Path) -> None:
    train_stage(job(archive, tmp_path, epochs=1))
    with pytest.raises(RecipeError, match="start anew without --resume"):
        train_stage(dataclasses.replace(job(archive, tmp_path, epochs=1), resume=True, fingerprint="two"))
    (tmp_path / "checkpoint.npz").write_bytes(b"PK not one")
    with pytest.raises(OutputError, match=r"readable checkpoint.*; remove it, and the training begins anew"):
        train_stage(dataclasses.replace(job(archive, tmp_path, epochs=1), resume=True))
    (tmp_path / "checkpoint.npz").unlink()
    assert len(train_stage(dataclasses.replace(job(archive, tmp_path, epochs=1), resume=True)).epochs) == 1


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(archive: Path, tmp_path: Path) -> None:
    bad = job(archive, tmp_path, optimizer="sgd", learning_rate=1e-3)
    kernel = bad.start().get_layer("last").kernel

    def poison(epoch: Any) -> None:
        kernel.assign(kernel * np.float32("inf"))

    with pytest.raises(
        CompressionError,
        match=r"converges, found a loss of nan in step 17 of \d+; "
        "the first that is not finite is the variable last/kernel of the layer last; the checkpoint after epoch 1 is kept",
    ):
        train_stage(dataclasses.replace(bad, on_epoch=poison))
    with np.load(tmp_path / "checkpoint.npz") as kept:
        assert all(np.isfinite(kept[name]).all() for name in kept.files if name != "record")


def test_patience_stops_and_keeps_the_best_epoch(archive: Path, tmp_path: Path) -> None:
    result = train_stage(job(archive, tmp_path, epochs=30, patience=2, learning_rate=0.02))
    best = max(result.epochs, key=lambda epoch: (epoch.held_out_accuracy, -epoch.held_out_loss))
    assert len(result.epochs) < 30
    assert result.epochs[-1].epoch == best.epoch + 2
    from edgecls.compression import evaluate

    loss, accuracy = evaluate(result.model, job(archive, tmp_path).images, "softmax", 3)
    assert (loss, accuracy) == pytest.approx((best.held_out_loss, best.held_out_accuracy), rel=1e-5)


def test_a_full_disk_keeps_the_checkpoint_before(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    def fill_up(_: Any) -> None:
        monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OutputError, match=r"No space left on device; the checkpoint after epoch 1 is kept.*--resume"):
        train_stage(dataclasses.replace(job(archive, tmp_path), on_epoch=fill_up))
    monkeypatch.undo()
    resumed = train_stage(dataclasses.replace(job(archive, tmp_path), resume=True))
    assert len(resumed.epochs) == EPOCHS
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
