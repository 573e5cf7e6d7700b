"""What ``import aptnn_md`` promises: public names, tab completion, and that it stays light."""

from __future__ import annotations

import rlcompleter
import subprocess
import sys

import pytest

import aptnn_md
import aptnn_md.spectra

NEEDED = {
    "APTCalculator", "InputError", "Predictor", "RunError", "StreamHeader", "StreamObserver",
    "StreamReader", "StreamWriter", "find_bands", "infrared_spectrum", "raman_of_streams",
    "raman_spectrum", "read_reference", "report", "spectrum_of_streams", "velocity_spectrum",
    "velocity_spectrum_of_streams", "write_table",
}  # fmt: skip
"""What most users need."""


@pytest.mark.parametrize("package", [aptnn_md, aptnn_md.spectra])
def test_public_names_are_there_and_shown(package) -> None:  # type: ignore[no-untyped-def]
    assert len(set(package.__all__)) == len(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


def test_names_for_most_users() -> None:
    assert set(aptnn_md.__all__) >= NEEDED
    assert set(aptnn_md.spectra.__all__) >= {n for n in NEEDED if n[0].islower()}


def test_tab_completion() -> None:
    completer = rlcompleter.Completer({"aptnn_md": aptnn_md})
    found = completer.attr_matches("aptnn_md.spectrum_")
    assert [name.rstrip("()") for name in found] == ["aptnn_md.spectrum_of_streams"]


def modules_after(statement: str) -> set[str]:
    """Modules that an interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_import_stays_light() -> None:
    heavy = {"torch", "zarr", "numpy", "scipy", "ase", "matplotlib"}
    assert not heavy & modules_after("import aptnn_md; dir(aptnn_md)")
    # settings, whose defaults command lines show
    assert not heavy & modules_after("import aptnn_md.spectra.options")
    # spectra never need torch
    loaded = modules_after("from aptnn_md import spectrum_of_streams")
    assert "aptnn_md.spectra.infrared.of_streams" in loaded
    assert "torch" not in loaded
