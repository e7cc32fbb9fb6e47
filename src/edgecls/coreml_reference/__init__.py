"""Executes Core ML packages without Core ML: their ML program, translated to ONNX, in ONNX Runtime.

A reference of the program, on any platform; the Neural Engine, whose arithmetic is its own, may round differently.
"""

from __future__ import annotations

from edgecls.coreml_reference.program import Input, Program, open_program

__all__ = ["Input", "Program", "open_program"]
