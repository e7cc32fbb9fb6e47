"""Training that makes a model smaller: pruning, clustering and quantization-aware training, on flat tf_keras models."""

from __future__ import annotations

from edgecls.compression.stages import StageJob, StageResult, copy_model, train_stage
from edgecls.compression.training import evaluate
from edgecls.compression.training_images import TrainingImages

__all__ = ["StageJob", "StageResult", "TrainingImages", "copy_model", "evaluate", "train_stage"]
