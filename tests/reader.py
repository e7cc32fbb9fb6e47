"""A reader of the documents: a folder with what they speak of, and a shell in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from documents import ROOT, Block

_PREPARED = """
import keras, numpy as np
from pathlib import Path
from PIL import Image
from edgecls.data.digits import digits_split

layers = keras.layers
for name in ("calibration", "data"):
    pixels, classes = digits_split(name)
    if name == "calibration":
        model = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Conv2D(16, 3, use_bias=False),
            layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(16, 3, activation="relu"), layers.Flatten(),
            layers.Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(np.asarray(pixels).reshape(-1, 8, 8, 1), classes, epochs=20, verbose=0)
        model.save("model.h5")
        model.save("model.keras")
    for index in range(160):
        folder = Path("photos" if name == "calibration" else "test_photos", str(classes[index]))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels[index]).reshape(8, 8)).save(folder / f"{index}.png")
Image.fromarray(np.asarray(pixels[0]).reshape(8, 8)).save("picture.jpg")
Path("labels.txt").write_text("".join(f"{digit}\\n" for digit in range(10)))
Path("images").symlink_to("photos")
"""


class Reader:
    """Types what documents say.

    Args:
        folder: where commands run; `home` in it is the home.
        environment: variables of the shell; None for this process's, with this checkout and Python first.
        wrapper: a command that each shell is run by.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, wrapper: tuple[str, ...] = ()) -> None:
        self.folder, self._wrapper = folder, wrapper
        (folder / "home").mkdir(exist_ok=True)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        ours = {**os.environ, "PATH": path, "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT / "src")}
        self._environment = dict(environment) if environment is not None else ours

    def prepare(self) -> None:
        """Put a model there, its labels, pictures to calibrate on and to test with."""
        self.does(f"python - <<'END'\n{_PREPARED}\nEND")

    def follows(self, block: Block) -> str:
        """Do what a block says; what it prints on stdout."""
        script = f"{block.before}\n{block.text}"
        return self.does(script if block.language == "console" else f"python - <<'PYTHON_ENDS'\n{script}\nPYTHON_ENDS")

    def does(self, script: str) -> str:
        """Run a script, which must succeed; what it prints on stdout."""
        done = subprocess.run(
            [*self._wrapper, "bash", "-euc", script],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout
