"""Spec to record."""

from .cache import compile_quicker, keep_compiled_programs, keep_quickly_compiled_programs
from .files import load, save
from .intervention import Intervention, cause, with_cause
from .predict import predict, prediction_summary
from .prepare import Problem, prepare
from .provenance import spec_of
from .record import summarize
from .run import run

__all__ = [
    "Intervention",
    "Problem",
    "cause",
    "compile_quicker",
    "keep_compiled_programs",
    "keep_quickly_compiled_programs",
    "load",
    "predict",
    "prediction_summary",
    "prepare",
    "run",
    "save",
    "spec_of",
    "summarize",
    "with_cause",
]
