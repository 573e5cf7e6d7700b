"""Every code block of the documentation runs, or says why not and is one that could."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.pages import Block, Reader, blocks_of, check, words_of
from helpers.paths import ROOT

from aptnn_md.cli import COMMANDS
from aptnn_md.cli.spectrum import KINDS

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_" not in path.parts[-2][:1])
LANGUAGES = {"sh", "python", "text", "xml", "toml", "json", "setup", ""}
DIRECTIVES = ("{toctree}", "{command}", "{eval-rst}", "{note}", "{math}", "{literalinclude}")


def shown(path: Path) -> str:
    return str(path.relative_to(DOCS))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            path,
            marks=[
                getattr(pytest.mark, tier)
                for tier in ("thorough", "slow")
                if f"<!-- {tier}" in path.read_text(encoding="utf-8")
            ],
        )
        for path in PAGES
    ],
    ids=shown,
)
def test_a_reader_can_run_the_page(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    reader = Reader()
    for block in blocks_of(page):
        if block.language.startswith("{"):
            continue
        try:
            reader.run(block)
        except BaseException as error:
            error.add_note(f"{page}:{block.line}")
            raise


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_blocks_are_of_known_kinds(page: Path) -> None:
    for block in blocks_of(page):
        language = block.language
        known = language in LANGUAGES or language.startswith(DIRECTIVES)
        assert known, f"line {block.line}: {language}"
        if language in ("xml", "toml", "json", ""):
            assert {"file", "not run", "output"} & set(block.says), f"line {block.line}: what is it"
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0


def test_every_command_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    named = re.findall(r"^```\{command\} (.+)$", text, re.MULTILINE)
    expected = [name for name in COMMANDS if name != "spectrum"]
    assert sorted(named) == sorted([*expected, *(f"spectrum {kind}" for kind in KINDS)])


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {"index.md"}
    for page in PAGES:
        for block in blocks_of(page):
            if block.language.startswith("{toctree}"):
                names = [n for n in block.code.split() if not n.startswith(":")]
                listed |= {str((page.parent / f"{n}.md").relative_to(DOCS)) for n in names}
    missing = {shown(page) for page in PAGES} - listed
    assert not missing, missing


def test_the_reader_of_these_tests_notices_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "text\n<!-- shorter: 40 => 2 -->\n```python\nx = 40\n```\n"
        "<!-- setup:\ny = 3\n-->\n\n<!-- not run: no reason at all -->\nA paragraph.\n\n"
        "```sh\naptnn-md info water-apt\n```\n<!-- file: a/b.txt -->\n```text\nhello\n```\n"
    )
    blocks = blocks_of(page)
    assert [(block.language, block.line) for block in blocks] == [
        ("python", 3),
        ("setup", 6),
        ("sh", 13),
        ("text", 17),
    ]
    assert blocks[2].says == {}
    reader = Reader()
    for block in (*blocks[:2], blocks[3]):
        reader.run(block)
    assert (reader.names["x"], reader.names["y"]) == (2, 3)
    assert (tmp_path / "a" / "b.txt").read_text() == "hello\n"
    with pytest.raises(ZeroDivisionError):
        reader.run(Block(1, "python", "1 / 0"))
    with pytest.raises(AssertionError, match="line 1: aptnn-md info nowhere"):
        reader.run(Block(1, "sh", "aptnn-md info nowhere"))
    with pytest.raises(AssertionError, match="line 1"):
        reader.run(Block(1, "sh", "true && false"))
    with pytest.raises(AssertionError, match="no '7' to replace"):
        reader.run(Block(1, "python", "x = 40", {"shorter": "7 => 2"}))
    for code in (
        "aptnn-md md a.xyz --potential p --stream s --ps 1 --colour red",
        "mpirun -n 2 aptnn-md label --nothing",
        "cd x && aptnn-md nothing",
    ):
        with pytest.raises(AssertionError, match="aptnn-md does not know"):
            check(Block(1, "sh", code))
    check(Block(1, "sh", "mpirun -n 2 aptnn-md md a.xyz --potential p --stream s --ps 1 &"))
    with pytest.raises(AssertionError, match="no Nothing"):
        check(Block(1, "python", "from aptnn_md import Nothing"))
    assert words_of("aptnn-md info 'a b' # words") == ["aptnn-md", "info", "a b"]
    assert words_of("aptnn-md info $x") is None
    assert words_of("aptnn-md info a > b") is None
    assert words_of("ls") is None
