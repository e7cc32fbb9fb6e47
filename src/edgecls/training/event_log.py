"""TensorBoard's event file, written without TensorBoard: a scalar for each figure of each epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from edgecls.system.extras import require

_VERSION = "brain.Event:2"
_NAME = "events.out.tfevents"


def remove_logs(folder: Path) -> None:
    """Remove the event files in a folder, which TensorBoard would show as one training with those that come."""
    for path in folder.glob(f"{_NAME}.*"):
        path.unlink()


class EventLog:
    """Appends scalars to an event file in a folder of its own kind.

    Args:
        folder: made where it is missing; `tensorboard --logdir` takes it.
    """

    def __init__(self, folder: Path) -> None:
        self._tf = require("tensorflow")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{_NAME}.{int(time.time())}.{os.uname().nodename if hasattr(os, 'uname') else 'host'}.{os.getpid()}"
        self._writer = self._tf.io.TFRecordWriter(str(folder / name))
        self._write(file_version=_VERSION)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Figures after an epoch, as they are called in TensorBoard."""
        v1 = self._tf.compat.v1
        values = [v1.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(step=step, summary=v1.Summary(value=values))
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def _write(self, **content: object) -> None:
        event = self._tf.compat.v1.Event(wall_time=time.time(), **content)
        self._writer.write(event.SerializeToString())
