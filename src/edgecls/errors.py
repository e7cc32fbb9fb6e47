"""The error tree.

Every error says, in one line, what was expected, what was found and what to do. `exit_code` is what the command line exits with:
2 for bad input (the user can fix it), 3 for a stage that failed on good input.

    EdgeclsError
    ├── InputError (2)            something the user gave
    │   ├── ModelFileError        a file that is no readable model
    │   ├── UnsafeModelError      a file that would run code
    │   ├── UnsupportedModelError a readable model that no image classifier can be made of
    │   │   ├── OpenSizeError     a model that leaves the size of its images open, where none was given
    │   │   └── NoScoresError     an output that is no vector of scores
    │   ├── DataError             images, labels, npz archives
    │   │   └── OversizedImageError  an image of more pixels than are decoded
    │   ├── SchemeError           a job the support table refuses
    │   ├── RecipeError           a recipe with unknown or contradicting keys
    │   ├── ArtifactError         an artifact, manifest or results file that cannot be read
    │   │   └── UnsupportedOperationError  a sound artifact that its engine cannot run
    │   ├── GateError             a baseline or budget that nothing can be held against
    │   ├── OutputError           a place that cannot be written
    │   ├── MachineError          another machine that cannot be reached, or lacks what measuring needs
    │   └── MissingExtraError     an optional dependency that is not installed
    └── StageError (3)            a stage that failed
        ├── ConversionError
        ├── TrainingError         a new model whose training went wrong
        ├── CompressionError      training that went wrong, or a sparsity that was not reached
        ├── ParityError
        └── WorkerError           a worker process that crashed or ran out of time

`RemoteError` is none of them: it carries what a worker did not raise on purpose.
"""

from __future__ import annotations


class EdgeclsError(Exception):
    """Base of all errors this package raises on purpose.

    Args:
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it.
    """

    exit_code = 3

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        self.expected, self.found, self.remedy = (" ".join(part.split()) for part in (expected, found, remedy))
        super().__init__(f"expected {self.expected}, found {self.found}; {self.remedy}")

    def __reduce__(self) -> tuple[type[EdgeclsError], tuple[str, str, str]]:
        return type(self), (self.expected, self.found, self.remedy)  # crosses process borders unchanged


def reason_of(error: Exception) -> str:
    """Why a file could not be read, without its name, which the message around it has."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return "no text in UTF-8"
    return str(error)


class InputError(EdgeclsError):
    """Something the user gave and can fix."""

    exit_code = 2


class ModelFileError(InputError):
    """The file is no readable model: missing, truncated, of another type."""


class UnsafeModelError(InputError):
    """The file holds code (Lambda layers, pickled objects) and `allow_code` was not given."""


class UnsupportedModelError(InputError):
    """The model was read, but no image classifier can be made of it."""


class OpenSizeError(UnsupportedModelError):
    """The model takes images of any size, and none was given."""


class NoScoresError(UnsupportedModelError):
    """An output of the model is something else than one score for each class."""


class DataError(InputError):
    """Images, labels or archives that cannot be used."""


class OversizedImageError(DataError):
    """An image has more pixels than are decoded."""


class SchemeError(InputError):
    """The support table has no way to make what was asked."""


class RecipeError(InputError):
    """A recipe has unknown or contradicting keys, or values out of their range."""


class ArtifactError(InputError):
    """An artifact, manifest or results file cannot be read."""


class UnsupportedOperationError(ArtifactError):
    """An artifact is sound, but holds an operation its engine does not have here."""


class GateError(InputError):
    """A gate that is broken: a baseline or a budget that nothing can be held against. It is no regression."""


class OutputError(InputError):
    """The place to write to cannot be written."""


class MachineError(InputError):
    """Another machine cannot be reached, or lacks what measuring needs there."""


class MissingExtraError(InputError):
    """A part of edgecls that is installed separately is missing."""


class StageError(EdgeclsError):
    """A stage failed on input that was good."""


class ConversionError(StageError):
    """A converter failed."""


class TrainingError(StageError):
    """Training of a new model went wrong; what was good before is kept."""


class CompressionError(StageError):
    """Training went wrong, or did not reach what the recipe asked."""


class ParityError(StageError):
    """An artifact does not compute what its source computes."""


class WorkerError(StageError):
    """A worker process crashed or ran out of time."""


class RemoteError(Exception):
    """An exception of a worker that is no EdgeclsError, with the worker's traceback as text.

    Attributes:
        os_error: number, description and file, where it was the operating system that refused.
    """

    def __init__(self, kind: str, message: str, trace: str, os_error: tuple[int, str, str | None] | None = None) -> None:
        self.kind, self.message, self.trace, self.os_error = kind, message, trace, os_error
        super().__init__(kind, message, trace, os_error)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
