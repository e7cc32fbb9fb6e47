"""What people write themselves: `invoke` times a session of onnxruntime, `photos` classifies image files one after another.

python _documented_loops.py invoke MODEL.onnx RUNS     prints the median and the least in milliseconds
python _documented_loops.py photos MODEL.tflite FOLDER prints images per second
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np


def invoke(model: str, runs: int) -> str:
    """A bare loop around `session.run`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    name = session.get_inputs()[0].name
    for _ in range(10):
        session.run(None, {name: image})
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, {name: image})
        seconds.append(time.perf_counter() - start)
    return f"{np.median(seconds) * 1000} {min(seconds) * 1000}"


def photos(model: str, folder: str) -> float:
    """Open, resize, normalize, invoke, read: one image at a time."""
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    files = sorted(Path(folder).rglob("*.jpg"))
    start = time.perf_counter()
    for path in files:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
        interpreter.set_tensor(source, (pixels / 127.5 - 1.0)[None])
        interpreter.invoke()
        interpreter.get_tensor(target).argmax()
    return len(files) / (time.perf_counter() - start)


if __name__ == "__main__":
    print(invoke(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "invoke" else photos(sys.argv[2], sys.argv[3]))
