"""Code blocks of Markdown pages, run as a reader runs them.

A comment directly above a block says what a test does otherwise:

``<!-- not run: REASON -->``
    the block is only parsed: Python is compiled and what it imports from here must exist, each
    line ``aptnn-md ...`` must be one that the command understands
``<!-- shorter: A => B; C => D -->``
    texts that are replaced before the block is run
``<!-- file: NAME -->``
    the block is the content of a file
``<!-- output -->``
    the block is what was printed, and is not run

``<!-- setup: CODE -->``, over several lines if need be, is Python that readers do not see, for
files that they have and a test does not.

``<!-- thorough: REASON -->`` or ``<!-- slow: REASON -->`` anywhere on a page gives its test that
marker.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aptnn_md.cli import COMMANDS, command_parser, main

_PIECE = re.compile(
    r"^<!--\s*(?P<comment>.*?)\s*-->$"
    r"|^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)
_KINDS = ("not run", "shorter", "file", "output", "setup")
_SHELL = ("sh", "bash")


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes
    ----------
    line : of the page where it begins
    language : after the fence
    code : its content
    says : what the comments above it say, by kind
    """

    line: int
    language: str
    code: str
    says: dict[str, str] = field(default_factory=dict)

    @property
    def shortened(self) -> str:
        """The code with what a test replaces."""
        code = self.code
        for change in filter(None, self.says.get("shorter", "").split("; ")):
            old, _, new = change.partition(" => ")
            assert old in code, f"line {self.line}: no {old!r} to replace"
            code = code.replace(old, new)
        return code


def blocks_of(page: Path) -> list[Block]:
    """All code blocks of a page, and setup code as a block of the language ``setup``."""
    text = page.read_text(encoding="utf-8")
    found, says, end = [], dict[str, str](), 0
    for piece in _PIECE.finditer(text):
        line = text.count("\n", 0, piece.start()) + 1
        if text[end : piece.start()].strip():
            says = {}  # comments above a paragraph say nothing of blocks below it
        end = piece.end()
        if piece["comment"] is not None:
            kind, _, value = piece["comment"].partition(":")
            if kind == "setup":
                found.append(Block(line, "setup", value.strip("\n")))
            elif kind in _KINDS:
                says[kind] = value.strip()
            continue
        found.append(Block(line, piece["info"].strip(), piece["code"], says))
        says = {}
    return found


def logical_lines(code: str) -> Iterator[str]:
    """Commands of a shell script without comments, continued lines joined."""
    for line in re.sub(r"\\\n\s*", " ", code).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def words_of(command: str) -> list[str] | None:
    """Words of a plain command ``aptnn-md ...``; None of any other."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)
    plain = not any(set(word) <= set("();<>|&") for word in words) and "$" not in command
    return words if words[:1] == ["aptnn-md"] and plain and "*" not in command else None


class Reader:
    """Somebody who runs a page block by block in the current directory."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def run(self, block: Block) -> None:
        """Run a block, or check it where it is not to be run."""
        if "not run" in block.says:
            assert block.says["not run"], f"line {block.line}: say why it is not run"
            check(block)
        elif "file" in block.says:
            target = Path(block.says["file"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.shortened, encoding="utf-8")
        elif block.language in ("python", "setup"):
            exec(compile(block.shortened, f"line {block.line}", "exec"), self.names)
        elif block.language in _SHELL:
            _run_shell(block)


def _run_shell(block: Block) -> None:
    commands = list(logical_lines(block.shortened))
    words = [words_of(command) for command in commands]
    if all(each is not None for each in words):
        # in this process, which has imported what they need
        for each in words:
            assert each is not None
            assert _status(each[1:]) == 0, f"line {block.line}: {' '.join(each)}"
        return
    script = "set -euo pipefail\n" + block.shortened
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"line {block.line}: {done.stdout}\n{done.stderr}"


def _status(arguments: list[str]) -> int | str | None:
    """Exit code of ``aptnn-md`` in this process."""
    try:
        return main(arguments)
    except SystemExit as error:  # of options that print something and end
        return error.code


def check(block: Block) -> None:
    """Check as much of a block as can be known without running it."""
    if block.language in _SHELL:
        for command in logical_lines(block.code):
            _check_command(command, block.line)
    elif block.language == "python":
        _check_imports(block)


def _check_command(command: str, line: int) -> None:
    """Options of all ``aptnn-md ...`` in a command, as far as words of the shell are known."""
    for part in re.split(r"&&|\|\||[|;]", command):
        words = shlex.split(part.strip().rstrip("&"), comments=True)
        if "aptnn-md" not in words:
            continue
        arguments = words[words.index("aptnn-md") + 1 :]
        if ">" in arguments:
            arguments = arguments[: arguments.index(">")]
        command_name = next((word for word in arguments if word in COMMANDS), "")
        try:
            command_parser(command_name).parse_args(arguments)
        except SystemExit as error:
            if error.code == 0:
                continue
            raise AssertionError(f"line {line}: aptnn-md does not know: {part}") from error


def _check_imports(block: Block) -> None:
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aptnn_md"):
            for alias in node.names:
                assert _has(node.module or "", alias.name), f"line {block.line}: no {alias.name}"


def _has(module: str, name: str) -> bool:
    """Whether a module defines a name, also where what it imports is not installed."""
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        spec = importlib.util.find_spec(module)
        text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        return re.search(rf"^(?:class|def) {name}\b", text, re.MULTILINE) is not None
