"""The tests of differences stand in the same folder as those of the commands."""

from tests.cli.conftest import desk, shelf

__all__ = ["desk", "shelf"]
