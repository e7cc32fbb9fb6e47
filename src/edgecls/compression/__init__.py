"""Training that makes a model smaller: pruning, clustering and quantization-aware training, on flat tf_keras models."""

from __future__ import annotations

from edgecls.compression.stages import StageJob, StageResult, check_stages, copy_model, saved_models, train_stage
from edgecls.training.images import TrainingImages
from edgecls.training.loop import evaluate

__all__ = [
    "StageJob",
    "StageResult",
    "TrainingImages",
    "check_stages",
    "copy_model",
    "evaluate",
    "saved_models",
    "train_stage",
]
