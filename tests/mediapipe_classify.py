"""Runs inside the environment of `mediapipe_env.py`: MediaPipe Tasks' ImageClassifier on image files; prints JSON."""

from __future__ import annotations

import json
import sys

import mediapipe as mp  # pyright: ignore[reportMissingImports]
from mediapipe.tasks.python import vision  # pyright: ignore[reportMissingImports]
from mediapipe.tasks.python.core.base_options import BaseOptions  # pyright: ignore[reportMissingImports]


def main(model: str, images: list[str]) -> None:
    """Print one list of {label, index, score} per image, best first."""
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    classifier = vision.ImageClassifier.create_from_options(options)
    answers = []
    for path in images:
        classes = classifier.classify(mp.Image.create_from_file(path)).classifications[0].categories
        answers.append([{"label": item.category_name, "index": item.index, "score": item.score} for item in classes])
    classifier.close()
    print(json.dumps(answers))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
