"""The frozen graph as a SavedModel for services: float images, encoded pictures, or labels and scores in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgecls.converters.saved_model.pictures import CHANNELS, model_inputs
from edgecls.errors import ConversionError
from edgecls.formats.saved_model.layout import (
    BYTES,
    CLASSES,
    CLASSIFY,
    ENCODED,
    IMAGES,
    LABELS_NAME,
    RECORD_PATH,
    SCORES,
    SERVING,
    VERSION,
)
from edgecls.records.frozen_graph import FrozenGraph
from edgecls.records.metadata import ArtifactMetadata
from edgecls.system.extras import quiet_frameworks, require
from edgecls.system.private_folder import temporary_folder

_TRIED = 3  # images at once that show whether the graph takes any number
_AGREE = 1e-4  # of the largest score: other batches may be summed in another order, and a mixed-up batch is off by far more


def write_saved_model(path: Path, graph: FrozenGraph, record: ArtifactMetadata) -> list[str]:
    """Write `path`/1/, a SavedModel with the signatures `serving_default`, `serving_bytes` and `classify`.

    Args:
        path: of a folder that is not there.

    Returns:
        What is worth telling, one sentence each.

    Raises:
        ConversionError: TensorFlow cannot save it.
    """
    tf = require("tensorflow")
    spec, shape = record.image_spec, record.image_spec.input_shape
    try:
        with quiet_frameworks(), temporary_folder() as folder:
            run, notes = _batched(tf, graph, shape)
            labels = folder / LABELS_NAME
            labels.write_text("".join(f"{_line(label)}\n" for label in record.labels), encoding="utf-8")
            module, names = tf.Module(), [SCORES, *(head.output for head in record.heads[1:])]
            module.run, module.labels = run, _label_table(tf, labels)

            @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32, name=IMAGES)], autograph=False)
            def serving_default(images: Any) -> dict[str, Any]:
                return dict(zip(names, run(images), strict=True))

            @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=ENCODED)], autograph=False)
            def serving_bytes(image_bytes: Any) -> dict[str, Any]:
                return dict(zip(names, run(model_inputs(image_bytes, spec)), strict=True))

            @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=ENCODED)], autograph=False)
            def classify(image_bytes: Any) -> dict[str, Any]:
                return _sorted(tf, run(model_inputs(image_bytes, spec))[0], module.labels, record)

            signatures = {SERVING: serving_default}
            if spec.channels in CHANNELS:
                signatures |= {BYTES: serving_bytes, CLASSIFY: classify}
            else:
                notes.append(f"{BYTES} and {CLASSIFY} left out: picture files do not have {spec.channels} channels")
            tf.saved_model.save(module, str(path / VERSION), signatures)
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConversionError("a graph that TensorFlow saves", reason, "leave the target saved_model out") from error
    record_file = path / VERSION / RECORD_PATH
    record_file.parent.mkdir()
    record_file.write_text(record.model_dump_json(), encoding="utf-8")
    return notes


def _label_table(tf: Any, file: Path) -> Any:
    """Index -> label, read from an asset, which services can exchange."""
    asset = tf.saved_model.Asset(str(file))
    lines = tf.lookup.TextFileIndex
    source = tf.lookup.TextFileInitializer(asset, tf.int64, lines.LINE_NUMBER, tf.string, lines.WHOLE_LINE)
    return tf.lookup.StaticHashTable(source, default_value="")


def _sorted(tf: Any, scores: Any, labels: Any, record: ArtifactMetadata) -> dict[str, Any]:
    """Labels and scores [N, classes], best first; of equal ones the lower index first. One output decides between two classes."""
    if record.outputs == 1:
        first = -scores if record.output_kind == "logits" else 1 - scores
        scores = tf.concat([first, scores], axis=1)
    values, places = tf.math.top_k(scores, k=max(record.outputs, 2))
    return {CLASSES: labels.lookup(tf.cast(places, tf.int64)), SCORES: values}


def _batched(tf: Any, graph: FrozenGraph, shape: tuple[int, ...]) -> tuple[Callable[[Any], list[Any]], list[str]]:
    """The graph as a function of images [N, *shape] to the scores [N, outputs] of every head, and what to tell of it."""
    definition = tf.compat.v1.GraphDef.FromString(graph.path.read_bytes())
    names = [graph.output, *graph.others]
    single = _function(tf, definition, graph.input, names)
    _free_batch(tf, definition, graph.input.partition(":")[0])
    images = np.random.default_rng(0).random((_TRIED, *shape), np.float32)
    with contextlib.suppress(tf.errors.OpError, ValueError):
        free = _function(tf, definition, graph.input, names)
        together = free(tf.constant(images))
        alone = [single(tf.constant(image[None])) for image in images]
        if all(_agree(found.numpy(), [one[at].numpy() for one in alone]) for at, found in enumerate(together)):
            return free, []
    dtypes = [tf.TensorSpec(None, tf.float32) for _ in names]

    def one_by_one(batch: Any) -> list[Any]:
        scores = tf.map_fn(lambda image: [found[0] for found in single(image[None])], batch, fn_output_signature=dtypes)
        return [tf.ensure_shape(found, (None, *single.structured_outputs[at].shape[1:])) for at, found in enumerate(scores)]

    return one_by_one, ["takes any number of images, but computes one after another: the network's graph is made for one"]


def _function(tf: Any, definition: Any, source: str, names: list[str]) -> Any:
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    return imported.prune([source], names)


def _free_batch(tf: Any, definition: Any, source: str) -> None:
    """Let the placeholder take any number of images, and reshapes to one image that many."""
    constants = {node.name: node for node in definition.node if node.op == "Const"}
    for node in definition.node:
        if node.name == source:
            node.attr["shape"].shape.dim[0].size = -1
        elif node.op == "Reshape" and (constant := constants.get(node.input[1].partition(":")[0])) is not None:
            sizes = tf.make_ndarray(constant.attr["value"].tensor)
            if sizes.ndim == 1 and len(sizes) > 1 and sizes[0] == 1 and (sizes > 0).all():
                freed = sizes.copy()
                freed[0] = -1
                constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(freed))


def _agree(together: np.ndarray, alone: list[np.ndarray]) -> bool:
    expected = np.concatenate(alone)
    return together.shape == expected.shape and bool(
        np.abs(together - expected).max() <= _AGREE * max(np.abs(expected).max(), 1e-30)
    )


def _line(label: str) -> str:
    """A label on one line of the asset."""
    return " ".join(label.split())
