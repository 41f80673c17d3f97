"""What is written beside a result goes with it, or goes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchc.beside import withdrawn_on_failure


def test_what_was_published_goes_again_where_the_result_fails(tmp_path: Path) -> None:
    def interrupted() -> None:
        with withdrawn_on_failure() as published:
            (tmp_path / "x.undo").write_text("x")
            published += [str(tmp_path / "x.undo"), str(tmp_path / "gone")]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_was_published_stays_with_a_result(tmp_path: Path) -> None:
    undo = tmp_path / "x.undo"
    with withdrawn_on_failure() as published:
        undo.write_text("x")
        published.append(str(undo))
    assert undo.exists()
