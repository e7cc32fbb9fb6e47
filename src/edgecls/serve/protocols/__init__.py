"""How a request's body becomes images, and scores become its answer: one file for each protocol."""

from __future__ import annotations

from edgecls.serve.protocols.inputs import Inputs, Reader
from edgecls.serve.protocols.open_inference import read_open_inference
from edgecls.serve.protocols.predict import read_predict
from edgecls.serve.protocols.tensorflow_serving import read_tensorflow_serving
from edgecls.serve.question import Protocol

__all__ = ["READERS", "Inputs", "Reader"]

READERS: dict[Protocol, Reader] = {
    "predict": read_predict,
    "tensorflow_serving": read_tensorflow_serving,
    "open_inference": read_open_inference,
}
