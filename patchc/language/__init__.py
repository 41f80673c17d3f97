"""Text to Patch: knows YAML and JSON Schema, knows nothing of models."""
