"""The page of a plan: whole in itself, true to the plan, and a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


def page(*args: str) -> str:
    result = run("report", *args, "-o", "r.html")
    assert result.exit_code == 0, result.output
    return Path("r.html").read_text(encoding="utf-8")


class Strict(HTMLParser):
    """Every element is closed, in order; collects text, links and names of elements."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [v or "" for k, v in attrs if k in {"href", "src", "srcset", "data"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Strict:
    parsed = Strict()
    parsed.feed(text)
    assert parsed.open == []
    return parsed


def test_the_page_loads_nothing_and_runs_nothing(desk: Path) -> None:
    text = page("two.keras", "swap.yaml")
    parsed = read(text)
    assert parsed.links == []
    assert "script" not in parsed.seen
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text


def test_the_page_tells_what_the_plan_tells(desk: Path) -> None:
    plan = patchc.plan("two.keras", patchc.load("swap.yaml"))
    words = "\n".join(read(page("two.keras", "swap.yaml")).words)
    assert "1 to replace, 2 to add, 1 to re-initialise, 1 to make an output" in words
    for entry in plan.ledger.entries:
        assert entry.path in words
    for path in plan.layers:
        assert path.rpartition("/")[2] in words
    assert f"{plan.params['after']:,}" in words
    assert "Nothing is written yet." in words
    assert Path("swap.yaml").read_text(encoding="utf-8").splitlines()[4].strip() in words


def test_changed_layers_are_marked(desk: Path) -> None:
    text = page("two.keras", "swap.yaml")
    marks = re.findall(r'class="dot (\w+)"[^>]*></circle><text[^>]*><title>([\w/]+):', text)
    assert set(marks) >= {
        ("new", "extra"),
        ("new", "conv2_1"),
        ("gone", "label"),
        ("new", "label"),
        ("changed", "backbone/inner"),
        ("same", "conv1"),
    }


def test_a_result_is_checked(desk: Path) -> None:
    patchc.apply("small.keras", patchc.load("grow.yaml"), "out.keras")
    words = read(page("small.keras", "grow.yaml", "--result", "out.keras")).words
    assert "kept-weights-identical" in words
    assert words.count("ok") == 7
    words = read(page("small.keras", "grow.yaml", "--result", "small.keras", "--force")).words
    assert "FAILED" in words


def test_long_stretches_are_folded_and_shown_on_demand(desk: Path) -> None:
    chain = [{"Dense": {"units": 16, "name": f"more_{i}"}} for i in range(14)]
    long = {"patchc": 1, "id": "p", "edits": [{"select": "hidden", "insert_after": chain}]}
    patchc.apply("small.keras", patchc.loads(json.dumps(long)), "long.keras")
    text = page("long.keras", "grow.yaml")
    assert "⋯ 9 layers without a change" in text
    assert "all 19 layers" in text


def test_warnings_stand_at_the_top(desk: Path) -> None:
    words = "\n".join(read(page("small.keras", "lint.yaml")).words)
    assert "PC901" in words
    assert words.index("PC901") < words.index("Edits")


def test_names_cannot_break_out_of_the_page(desk: Path) -> None:
    edits = [{"select": "hidden", "freeze": True, "why": "<script>alert(1)</script>"}]
    named = {"patchc": 1, "id": "p", "description": '"><img src=x>', "edits": edits}
    Path("p.yaml").write_text(json.dumps(named), encoding="utf-8")
    text = page("small.keras", "p.yaml")
    parsed = read(text)
    assert {"script", "img"}.isdisjoint(parsed.seen)
    assert any("<script>alert(1)</script>" in word for word in parsed.words)


def test_an_existing_page_stays_unless_forced(desk: Path) -> None:
    page("small.keras", "grow.yaml")
    assert run("report", "small.keras", "grow.yaml", "-o", "r.html").exit_code == 1
    assert run("report", "small.keras", "grow.yaml", "-o", "r.html", "--force").exit_code == 0
    wrong = run("report", "small.keras", "wrong.yaml", "-o", "no.html")
    assert wrong.exit_code == 1
    assert not Path("no.html").exists()
    assert run("report", "small.keras", "grow.yaml", "-o", "small.keras", "--force").exit_code == 1


def test_notebooks_show_plans_and_reports(desk: Path) -> None:
    patch = patchc.load("grow.yaml")
    plan = patchc.plan("small.keras", patch)
    words = read(plan._repr_html_()).words
    assert "hidden" in words
    assert "grown" not in words
    report = patchc.apply("small.keras", patch, "out.keras")
    assert read(report._repr_html_()).words.count("ok") == 7


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_page_without_complaint(desk: Path) -> None:
    page("two.keras", "swap.yaml")
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--enable-logging=stderr", "--window-size=1400,1600", "--user-data-dir=profile"),
            *("--screenshot=r.png", Path("r.html").absolute().as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    colours = _colours(Path("r.png"))
    assert {"#e3f6e8", "#fdeaea", "#fff4d6"} <= colours  # new, gone, changed


def _colours(path: Path) -> set[str]:
    """The colours of a picture, each as `#rrggbb`."""
    import numpy as np
    import tensorflow as tf

    pixels = tf.io.decode_png(path.read_bytes(), channels=3).numpy().reshape(-1, 3)
    return {"#" + bytes(pixel).hex() for pixel in np.unique(pixels, axis=0).astype(np.uint8)}
