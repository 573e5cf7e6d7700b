"""Streams say which stored potential moved the atoms; no run is resumed with another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from helpers import toy_molecules
from helpers.observed_runs import settings, start

from aptnn_md.bundled import bundled_path
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.potential_identity import check_resumed, potential_fields
from aptnn_md.errors import InputError
from aptnn_md.potentials.committee import PotentialCommittee
from aptnn_md.potentials.stored import digest_of, read_potential, write_potential
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import run_path


def known(name: str, sha256: str) -> Atoms:
    """The toy with a potential that has a name and a digest."""
    atoms: Atoms = start()
    kind = type("Named", (toy_molecules.Potential,), {"name": name, "sha256": sha256})
    atoms.calc = APTCalculator(toy_molecules.Tensors(), kind())
    return atoms


def options(folder: Path, n_runs: int) -> dict[str, Any]:
    return {"stream": folder / "s", "checkpoint": folder / "c.npz"} | (
        {"groups": "element"} if n_runs else {}
    )


def length(n_steps: int, n_runs: int) -> Any:
    if not n_runs:
        return settings(n_steps)
    kind = {"n_runs": n_runs, "sampling": 0.01, "equilibrate": 0.0, "rotation": "keep"}
    return settings(n_steps, None, **kind)


@pytest.mark.parametrize("n_runs", [0, 2])
def test_the_header_says_it_and_another_one_is_refused(tmp_path: Path, n_runs: int) -> None:
    files = options(tmp_path, n_runs)
    run_md(known("mine", "ab" * 32), settings=length(24, n_runs), **files)
    stream = run_path(files["stream"], 1) if n_runs else files["stream"]
    header = StreamReader(stream).header
    assert (header.potential, header.potential_sha256) == ("mine", "ab" * 32)
    # an equal one under another name is no other one
    renamed = known("renamed", "ab" * 32)
    run_md(renamed, settings=length(24, n_runs), restart=True, **files)
    with pytest.raises(InputError, match=r"potential: found mine \(abab"):
        run_md(known("mine", "cd" * 32), settings=length(24, n_runs), restart=True, **files)
    # what the engine cannot know is not compared
    run_md(start(), settings=length(24, n_runs), restart=True, **files)


@pytest.mark.parametrize("n_runs", [0, 2])
def test_a_run_of_the_predecessor_is_resumed_with_it_only(tmp_path: Path, n_runs: int) -> None:
    files = options(tmp_path, n_runs)
    run_md(start(), settings=length(24, n_runs), **files)
    stream = run_path(files["stream"], 1) if n_runs else files["stream"]
    n_frames = StreamReader(stream).n_frames
    longer = length(24 if n_runs else 48, n_runs)
    with pytest.raises(InputError, match=r"not recorded.*'water-mace-0\.1'"):
        run_md(known("water-mace", "ef" * 32), settings=longer, restart=True, **files)
    assert StreamReader(stream).n_frames == n_frames
    old = known("water-mace-0.1", "01" * 32)
    run_md(old, settings=longer, restart=True, **files)
    assert StreamReader(stream).n_frames == (n_frames if n_runs else 17)


def test_nothing_there_is_no_predecessor(tmp_path: Path) -> None:
    check_resumed(tmp_path / "s", {"potential": "water-mace", "potential_sha256": "ef" * 32})


def test_digests_are_of_what_results_depend_on(tmp_path: Path) -> None:
    header, weights = read_potential(bundled_path("water-mace.json"))
    old, _ = read_potential(bundled_path("water-mace-0.1.json"))
    assert digest_of(header) != digest_of(old)
    what = header["configuration"], weights
    write_potential(tmp_path / "b.json", *what, {"what": "another card"}, header["walls"])
    assert digest_of(read_potential(tmp_path / "b.json")[0]) == digest_of(header)
    walls = json.loads(json.dumps(header["walls"]))
    walls[1]["strength"] *= 2.0
    write_potential(tmp_path / "c.json", *what, header["card"], walls)
    assert digest_of(read_potential(tmp_path / "c.json")[0]) != digest_of(header)


class Member:
    """A potential that is only known by its digest."""

    def __init__(self, sha256: str) -> None:
        self.name, self.sha256 = "member", sha256

    def evaluate(self, structures: Any) -> Any:
        raise NotImplementedError


def test_committees_are_known_if_all_members_are() -> None:
    a, b, unknown = Member("a"), Member("b"), Member("")
    both = potential_fields(PotentialCommittee([a, b]))
    assert both == potential_fields(PotentialCommittee([b, a])) != {}
    assert both != potential_fields(PotentialCommittee([a, a]))
    assert potential_fields(PotentialCommittee([a, unknown])) == {}
    assert potential_fields(None) == {}


@pytest.mark.thorough
@pytest.mark.mace
def test_bundled_potentials_say_who_they_are() -> None:
    from aptnn_md.potentials.loading import BUNDLED, load_potential

    found = {name: potential_fields(load_potential(name)) for name in BUNDLED}
    assert [fields["potential"] for fields in found.values()] == list(BUNDLED)
    assert len({fields["potential_sha256"] for fields in found.values()}) == len(BUNDLED)
