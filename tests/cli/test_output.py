"""Output of the command line whose reader goes away, as ``head`` does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.processes import environment

from aptnn_md.cli import main


@pytest.mark.thorough
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["info", "water-apt"], ["info", "--help"]])
def test_a_reader_that_goes_away_is_no_error(words: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from aptnn_md.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(
        command,
        env=environment(PYTHONUNBUFFERED=unbuffered),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # argparse passes over it by itself


def test_a_broken_pipe_of_another_kind_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise BrokenPipeError(32, "the server is gone")

    monkeypatch.setattr("aptnn_md.cli.info.run", broken)
    assert main(["info", "water-apt"]) == 1
    assert "the server is gone" in capsys.readouterr().err


def test_help_names_what_reads_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["info", "--help"])
    assert "aptnn_md.open_stream(path)" in capsys.readouterr().out
