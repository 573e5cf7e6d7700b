"""Options have the defaults of their dataclass, and its checks."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from aptnn_md.cli import driver, md
from aptnn_md.cli.settings_options import option_adder, settings_from
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.engines.client.settings import ClientSettings
from aptnn_md.errors import InputError


@dataclasses.dataclass(frozen=True)
class Made:
    length: float
    count_all: int = 3
    name: str | None = None
    loud: bool = False

    def __post_init__(self) -> None:
        if self.count_all < 0:
            raise InputError("made", "count_all", self.count_all, "zero or more")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add = option_adder(parser, Made)
    add("length", "--long")
    for name in ("count_all", "name", "loud"):
        add(name)
    return parser


def test_types_and_defaults_are_those_of_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings_from(parser().parse_args(["--long", "2"]), Made) == Made(2.0)
    words = ["--long", "2", "--count-all", "4", "--name", "n", "--loud"]
    assert settings_from(parser().parse_args(words), Made) == Made(2.0, 4, "n", True)
    for bad in ([], ["--long", "2", "--count-all", "2.5"], ["--long", "x"]):
        with pytest.raises(SystemExit):
            parser().parse_args(bad)
    with pytest.raises(InputError, match="--count-all: found -1, expected zero or more"):
        settings_from(parser().parse_args(["--long", "2", "--count-all", "-1"]), Made)


def test_commands_have_the_defaults_of_the_library() -> None:
    commands = (
        (md, MDSettings, "start.xyz --potential p --stream s --ps 2", MDSettings(2.0)),
        (driver, ClientSettings, "--address a --template t", ClientSettings()),
    )
    for command, settings, words, expected in commands:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        arguments = parser.parse_args(words.split())
        assert all(hasattr(arguments, field.name) for field in dataclasses.fields(settings))
        assert settings_from(arguments, settings) == expected
