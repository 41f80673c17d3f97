"""Text to Patch: knows YAML and JSON Schema, knows nothing of models."""

from patchc.language.load import load, loads
from patchc.language.patch import Patch

__all__ = ["Patch", "load", "loads"]
