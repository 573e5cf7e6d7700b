"""Callables by name: found where the user is, and blamed for what is theirs only."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aptnn_md.callables import call_by_name, is_callable_name, keyword_arguments
from aptnn_md.errors import InputError, RunError

MODULE = """
import {name}_helper

class Maker:
    @classmethod
    def make(cls, size=1):
        return [{name}_helper.VALUE] * size

    class Inner:
        @staticmethod
        def make():
            return "inner"

def with_an_error(number):
    return number + "text"

def hands_on(**keywords):
    return with_an_error(**keywords)

def fails():
    raise ValueError("two\\n lines")

THING = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Name of a module in the working directory, which is not on the path."""
    name = f"user_module_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(name=name))
    (tmp_path / f"{name}_helper.py").write_text("VALUE = 7\n")
    monkeypatch.chdir(tmp_path)
    return name


def call(text: str) -> object:
    return call_by_name("thing", text, "module:callable")


def test_a_method_of_a_class_in_the_working_directory(module: str) -> None:
    before = list(sys.path)
    assert call(f"{module}:Maker.make") == [7]
    assert call(f'{module}:Maker.make {{"size": 2}}') == [7, 7]
    assert call(f'{module}:Maker.make {{\n "size": 3\n}}') == [7, 7, 7]
    assert call(f"{module}:Maker.Inner.make") == "inner"
    assert sys.path == before


def test_the_working_directory_hides_nothing(module: str, tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("def hls_to_rgb(h, l, s): return 'the wrong one'\n")
    assert call('colorsys:hls_to_rgb {"h": 0, "l": 0.5, "s": 0}') == (0.5, 0.5, 0.5)


def test_whose_fault_it_is(module: str) -> None:
    before = list(sys.path)
    with pytest.raises(InputError, match=r"keyword arguments: found .*'size_', expected those of"):
        call(f'{module}:Maker.make {{"size_": 2}}')
    with pytest.raises(InputError, match="missing a required argument: 'number'"):
        call(f"{module}:with_an_error")
    with pytest.raises(InputError, match=r"keyword arguments: found .*'wrong', expected those of"):
        call(f'{module}:hands_on {{"wrong": 1}}')
    # a TypeError inside the callable has nothing to do with the names of its arguments
    with pytest.raises(RunError, match=r"it raised TypeError: unsupported operand") as raised:
        call(f'{module}:with_an_error {{"number": 1}}')
    assert isinstance(raised.value.__cause__, TypeError)
    with pytest.raises(RunError, match="it raised ValueError: two lines"):
        call(f"{module}:fails")
    assert sys.path == before


def test_what_is_not_there(module: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No module named 'nothing_of_this_name'"):
        call("nothing_of_this_name:make")
    with pytest.raises(InputError, match="no attribute 'Mker'"):
        call(f"{module}:Mker.make")
    with pytest.raises(InputError, match="found THING of type int"):
        call(f"{module}:THING")
    (tmp_path / f"{module}_bad.py").write_text("1 +\n")
    with pytest.raises(RunError, match="it raised SyntaxError"):
        call(f"{module}_bad:make")
    with pytest.raises(InputError, match="found 'no name'"):
        call("no name")


def test_texts() -> None:
    assert is_callable_name('a.b:C.d {"x": 1}')
    assert is_callable_name("a.b:C.d x=1 y='two words' z=[1,2]")
    assert not is_callable_name("a.b:C.d x")
    assert not is_callable_name("a.b:C.d x=1 2")
    assert not is_callable_name("a.b:C.")
    assert not is_callable_name("model.pt")
    assert keyword_arguments("here", None) == {}
    with pytest.raises(InputError, match="found list, expected words key=value"):
        keyword_arguments("here", "[1]")
    with pytest.raises(InputError, match="or a JSON object"):
        keyword_arguments("here", "{1}")


def test_words_are_keyword_arguments() -> None:
    text = "number=3.4 whole=2 on=True off=false none=None list=[1,2] inner=[[1;2];[3;4]] name=pbe0"
    assert keyword_arguments("here", text) == {
        **{"number": 3.4, "whole": 2, "on": True, "off": False, "none": None},
        **{"list": [1, 2], "inner": [[1, 2], [3, 4]], "name": "pbe0"},
    }
    text = """file='a b;c.pt' digits='"5"' object='{"a": 1, "b": 2}' empty= sum=a=b"""
    assert keyword_arguments("here", text) == {
        **{"file": "a b;c.pt", "digits": "5", "object": {"a": 1, "b": 2}},
        **{"empty": "", "sum": "a=b"},
    }
    for wrong in ("a=1 b", "=1", "a-b=1", "a='1"):
        with pytest.raises(InputError, match=r"keyword arguments: .* expected words key=value"):
            keyword_arguments("here", wrong)


def test_a_real_calculator_and_a_method_of_a_class() -> None:
    from ase.calculators.lj import LennardJones

    found = call("ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01")
    assert isinstance(found, LennardJones)
    assert (found.parameters.sigma, found.parameters.epsilon) == (3.4, 0.01)
    cell = call("ase.cell:Cell.fromcellpar cellpar=[2,3,4,90,90,90]")
    assert cell.volume == pytest.approx(24.0)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"keyword arguments: .*'sgma'"):
        call("ase.cell:Cell.fromcellpar cellpar=[2,3,4,90,90,90] sgma=1")
