"""The docs are true: what they show runs, their links lead somewhere, generated pages are current.

A page is followed literally, from top to bottom, in an empty folder of its own. Blocks marked ``console`` are
commands, those marked ``python`` programs (one session per page); a block whose mark is followed by a file's
name is that file. Commands in ``sh`` blocks, which would need a cluster or hours, are only read. A ``text`` block
right after commands is what they print, up to numbers and spaces; ``...`` stands for anything.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from experiments import cli
from experiments.reference import page, write_pages
from sim.errors import VoltwalkError

ROOT = Path(__file__).parent.parent
MARKDOWN = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)[ \t]*(\S*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"")
DEMO = re.search(
    r"^demo:.*\n\t\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
)[1]
NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?(e-?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file's name after it (or nothing), its text."""

    language: str
    file: str
    text: str

    def commands(self) -> Iterator[list[str]]:
        """Arguments of the block's voltwalk commands; continued lines are joined, and `exec` is nothing."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            if words[:1] == ["exec"]:
                del words[0]
            if words[:2] == ["make", "demo"]:
                words = shlex.split(DEMO)
            if words[:1] == ["voltwalk"]:
                yield words[1:]


def blocks(path: Path) -> list[Block]:
    """Fenced blocks of a page, in order."""
    return [Block(*found) for found in FENCE.findall(path.read_text(encoding="utf-8"))]


def runs_something(path: Path) -> bool:
    """Whether a page has commands or programs."""
    return any(
        b.language == "python" or (b.language == "console" and list(b.commands())) for b in blocks(path)
    )


def name_of(path: Path) -> str:
    """Page as it stands in the tree."""
    return str(path.relative_to(ROOT))


def is_what_was_printed(shown: str, printed: str) -> bool:
    """Whether a block shows an output, up to numbers, spaces and drawn lines; ``...`` stands for anything."""
    wanted = [re.escape(_plain(part)) for part in re.split(r"\.\.\.|…", shown)]
    return re.fullmatch(".*".join(wanted), _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    return re.sub(r"[\s─━═]+", "", NUMBER.sub("#", text))


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in MARKDOWN if runs_something(p)], ids=name_of)
def test_a_page_can_be_followed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever types what the page shows meets no error and reads what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    session: dict[str, Any] = {"__name__": "__main__"}
    before, printed = set(sys.modules), ""
    for block in blocks(path):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for arguments in block.commands():
                monkeypatch.setattr(sys, "argv", ["voltwalk", *arguments])
                with pytest.raises(SystemExit) as ended:
                    cli.main()
                output = capsys.readouterr()
                assert ended.value.code in {0, None}, f"voltwalk {shlex.join(arguments)}: {output.err}"
                printed = output.out
        elif block.language == "python":
            exec(compile(block.text, name_of(path), "exec"), session)
            printed = capsys.readouterr().out
        elif block.language == "text" and printed:
            assert is_what_was_printed(block.text, printed), f"shown:\n{block.text}\nprinted:\n{printed}"
            printed = ""
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_commands_that_are_not_run_can_be_read() -> None:
    """Where a page shows what no test can run, command, arguments and options at least exist."""
    commands: Any = typer.main.get_command(cli.app)
    read = 0
    for path in MARKDOWN:
        for block in (block for block in blocks(path) if block.language == "sh"):
            for name, *arguments in block.commands():
                commands.commands[name].make_context(name, arguments)
                read += 1
    assert read > 0


def test_shown_outputs_are_compared() -> None:
    """Numbers may differ and parts may be left out, words may not differ."""
    assert is_what_was_printed("cost 1,234.5 CNY\n...\nruns/a-1\n", "cost   99 CNY\nmore\nruns/a-2\n")
    assert not is_what_was_printed("cost 1 EUR", "cost 1 CNY")


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file of the tree, and every anchor a heading of it."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{name_of(path)}: {target} leads nowhere"
        assert not anchor or anchor in anchors(linked), f"{name_of(path)}: no heading {target}"


def test_named_files_exist() -> None:
    """Every module, data file and test that a page names is there."""
    for path in MARKDOWN:
        text = path.read_text(encoding="utf-8")
        for file in re.findall(r"`((?:sim|agents|dispatch|experiments|tests|docs)/[\w./-]+\.\w+)`", text):
            assert (ROOT / file).is_file(), f"{name_of(path)}: no {file}"
        for test in re.findall(r"`(test_[a-z_]+)`", text):
            assert (ROOT / "tests" / f"{test}.py").is_file(), f"{name_of(path)}: no {test}"


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached() -> None:
    """From the README, links lead to every page of the docs."""
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        current = ahead.pop()
        if current in reached or current.suffix != ".md":
            continue
        reached.add(current)
        targets = (first or second for first, second in LINK.findall(current.read_text(encoding="utf-8")))
        local = (target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target))
        ahead += [(current.parent / file).resolve() for file in local if file]
    assert set(MARKDOWN) <= reached


def test_reference_pages_are_current(tmp_path: Path) -> None:
    """``make docs`` would change nothing."""
    for fresh in write_pages(tmp_path):
        kept = ROOT / "docs" / "reference" / fresh.name
        assert kept.read_text(encoding="utf-8") == fresh.read_text(encoding="utf-8"), (
            f"{kept.name}: run `make docs`"
        )


def test_an_unknown_page_is_named() -> None:
    """``voltwalk schema tabels`` says which pages there are."""
    with pytest.raises(VoltwalkError, match="did you mean 'tables'"):
        page("tabels")
