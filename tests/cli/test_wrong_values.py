"""Wrong values of every option and every key of a TOML file: words and exit code 2, no traceback.

The values are made from the parsers and dataclasses, so options and fields that are added later are
tried, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from aptnn_md.cli import COMMANDS, main
from aptnn_md.cli.settings_options import _type
from aptnn_md.settings import NewPath
from aptnn_md.training.settings import TrainingJob, TrainingSettings

REQUIRED = {
    "demo": [],
    "train": ["--data", "none.extxyz", "--out", "m.pt"],
    "evaluate": ["--model", "none.pt", "--data", "none.extxyz"],
    "predict": ["--model", "none.pt", "--data", "none.extxyz", "--out", "o.extxyz"],
    "label": ["--engine", "none:none", "--data", "none.extxyz", "--out", "o.extxyz"],
    "md": ["none.xyz", "--potential", "none:none", "--stream", "s.zarr", "--ps", "1"],
    "driver": [
        "--address",
        "/nowhere/x",
        "--unix",
        "--wait",
        "0",
        "--template",
        "none.xyz",
        "--potential",
        "n:n",
    ],
    "ipi": ["none.xml", "--stream", "s.zarr"],
    "lammps": ["none.lmp", "--model", "none.pt", "--stream", "s.zarr"],
    "trajectory": ["--dipoles", "none.npy", "--stream", "s.zarr"],
    "spectrum ir": ["none.zarr"],
    "spectrum raman": ["none.zarr"],
    "spectrum compare": ["none.zarr"],
    "spectrum vdos": ["none.zarr"],
    "spectrum normal-modes": ["none.xyz"],
    "export": ["none.pt", "--out", "m.pt2"],
    "info": ["none.pt"],
    "learn": ["none.xyz", "--engine", "none:none", "--out", "learned"],
}
"""Command -> words with which it ends soon, as there are no such files."""

WRONG = {
    int: ("x", "nan", "inf", "1.5", "True", "1e3", "0x10", "-9" * 30),
    float: ("x", "nan", "inf", "-inf", "1e400", "True", "1,5", "1 2"),
}
"""Type of an option -> values that are never right."""

DOUBTFUL = {int: ("-1", "0", "9" * 30), float: ("-1", "0", "1e308", "1e-308"), str: (" .", "ø\t")}
"""Values that may be right; whatever becomes of them, it is said in words."""


def options() -> Iterator[tuple[str, argparse.Action]]:
    """Every option that takes a value, with its command."""
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"aptnn_md.cli.{command}").add_arguments(parser)
        yield from _options(parser, command)


def _options(
    parser: argparse.ArgumentParser, command: str
) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, chosen in action.choices.items():
                yield from _options(chosen, f"{command} {name}")
        elif action.option_strings and action.nargs != 0:
            yield command, action


OPTIONS = [
    pytest.param(command, action, id=f"{command} {action.option_strings[-1]}")
    for command, action in options()
]


def kind_of(action: argparse.Action) -> typing.Any:
    return getattr(action.type, "kind", action.type)


def plain_of(action: argparse.Action) -> type:
    kind = kind_of(action)
    try:
        return _type(kind)[0]
    except AssertionError:  # a function that reads a text
        return str


def said(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    """Exit code and last line of a command."""
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    lines = capsys.readouterr().err.splitlines()
    return code, lines[-1] if lines else ""


def words_of(command: str, action: argparse.Action, value: str) -> list[str]:
    n_values = action.nargs if isinstance(action.nargs, int) else 1
    words = [*command.split(), *REQUIRED[command]]
    if value.startswith("-") and n_values == 1:
        return [*words, f"{action.option_strings[-1]}={value}"]
    return [*words, action.option_strings[-1], *[value] * n_values]


@pytest.mark.thorough
@pytest.mark.parametrize(("command", "action"), OPTIONS)
def test_wrong_values_of_options(command, action, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flag = action.option_strings[-1]
    wrong = ["", *WRONG.get(plain_of(action), ())]
    if action.choices:
        wrong.append("none of them")
    if kind_of(action) is NewPath:
        wrong += [".", "/", ".."]
    for value in wrong:
        code, line = said(capsys, words_of(command, action, value))
        assert (code, flag in line) == (2, True), f"{value!r}: {code} {line!r}"
        assert line.startswith("aptnn-md"), line
    if command == "demo" or flag == "--device":
        return  # it would run; what torch says of a device is tested where models are loaded
    for value in DOUBTFUL.get(plain_of(action), DOUBTFUL[str]):
        code, line = said(capsys, words_of(command, action, value))
        assert code in (1, 2), f"{value!r}: {code} {line!r}"
        assert line.startswith("aptnn-md"), line


def test_every_command_is_tried():
    assert {command for command, _ in options()} <= set(REQUIRED)
    assert len(OPTIONS) > 100


TEXTS = {
    "text": '"60"',
    "empty": '""',
    "true": "true",
    "nan": "nan",
    "inf": "inf",
    "fraction": "1.5",
    "negative": "-1",
    "huge": "9" * 18,
    "list": "[1]",
    "table": "{a = 1}",
    "date": "1979-05-27",
}
"""Name of a value -> how TOML has it."""

FITTING = {
    int: {"negative", "huge"},
    float: {"inf", "fraction", "negative", "huge"},
    str: {"text", "empty"},
    Path: {"text", "empty"},
    bool: {"true"},
}
"""Type of a key -> values that may be right, as far as their type goes."""


def keys() -> Iterator[typing.Any]:
    """Table, key and type of what a TOML file of a training may have outside of [network]."""
    tables = [("", TrainingJob), ("training", TrainingSettings)]
    for table, kind in tables:
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            try:
                plain = _type(hints[field.name])[0]
            except (AssertionError, ValueError):
                continue  # a table or a list of its own
            name = "network_name" if (table, field.name) == ("", "network") else field.name
            yield pytest.param(table, name, plain, id=f"{table} {name}".strip())


@pytest.mark.parametrize(("table", "key", "plain"), list(keys()))
def test_wrong_values_in_toml(table, key, plain, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in TEXTS.items():
        lines = {"data": '"none.extxyz"', "out": '"m.pt"'}
        text = "".join(f"{k} = {v}\n" for k, v in lines.items() if table or k != key)
        text += (f"[{table}]\n" if table else "") + f"{key} = {value}\n"
        Path("train.toml").write_text(text)
        code, line = said(capsys, ["train", "--config", "train.toml"])
        assert code == 2, f"{name}: {code} {line}"
        assert line.startswith("aptnn-md train: "), line
        if name not in FITTING[plain]:
            assert key.removesuffix("_name") in line, f"{name}: {line}"
