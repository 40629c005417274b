"""Spec to record."""

from .files import load, save
from .prepare import Problem, prepare
from .provenance import spec_of
from .record import summarize
from .run import run

__all__ = ["Problem", "load", "prepare", "run", "save", "spec_of", "summarize"]
