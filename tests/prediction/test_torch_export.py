"""An exported model is the model, at any size, in a process that has no aptnn_md."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.prediction.torch_export import export_model

CALLER = """\
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("aptnn_md", "ase", "e3nn"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocked())
import numpy as np
import torch

model = torch.export.load(sys.argv[1]).module()
calls = np.load(sys.argv[2])
found = {}
for number in sorted({name.split(".")[0] for name in calls}):
    names = ("atomic_numbers", "edge_index", "edge_vectors", "structure", "charges")
    arguments = [torch.from_numpy(calls[f"{number}.{name}"]) for name in names]
    for target, tensors in model(*arguments).items():
        found[f"{number}.{target}"] = tensors.detach().numpy()
# derivatives, too: of a weighted sum of the first call's tensors along a direction
vectors = arguments[2].clone().requires_grad_()
weights = torch.linspace(-1.0, 2.0, tensors.numel(), dtype=tensors.dtype).view_as(tensors)
total = lambda v: (weights * model(arguments[0], arguments[1], v, *arguments[3:])[target]).sum()
(slope,) = torch.autograd.grad(total(vectors), vectors)
step = 1e-6 * torch.linspace(1.0, -1.0, vectors.numel(), dtype=vectors.dtype).view_as(vectors)
found["slopes"] = np.array([
    float((total(vectors + step) - total(vectors - step)).detach()) / 2e-6,
    float((slope * step).sum()) / 1e-6,
])
numbers = arguments[0].clone()
numbers[0] = 6
found["unknown"] = model(numbers, *arguments[1:])[target].detach().numpy()
assert "aptnn_md" not in sys.modules
np.savez(sys.argv[3], **found)
"""


def frames() -> list[list[Atoms]]:
    """Sizes that the program was not traced with: batches, one atom, no edge, absent elements."""
    slab, molecule = triclinic(2, n_atoms=9, size=4.5), triclinic(3, n_atoms=6, size=4.0)
    slab.pbc = (True, False, True)
    molecule.pbc, molecule.cell = False, None
    molecule.info["charge"] = -1
    water = triclinic(4, n_atoms=12, size=5.0)
    water.numbers[water.numbers == 11] = 1
    ion = Atoms("Na", positions=[[1.0, 2.0, 3.0]], info={"charge": 1})
    return [[triclinic(1)], [triclinic(2) * (2, 1, 2)], [slab, molecule, ion], [ion], [water]]


def arguments(structures: list[Atoms], cutoff: float, dtype: str) -> dict[str, np.ndarray]:
    """Inputs of the program; edges in another order than ours, and some beyond the cutoff."""
    graph = build_graph(structures, cutoff + 0.7)
    order = np.random.default_rng(0).permutation(len(graph.centres))
    return {
        "atomic_numbers": graph.atomic_numbers,
        "edge_index": np.stack([graph.centres, graph.neighbours])[:, order],
        "edge_vectors": graph.edge_vectors[order].astype(dtype),
        "structure": np.repeat(np.arange(len(structures)), graph.structure_sizes),
        "charges": np.array([atoms.info.get("charge", 0) for atoms in structures], dtype=dtype),
    }


@pytest.mark.parametrize(
    ("target", "members", "dtype"),
    [
        pytest.param("apt", 1, "float64", marks=pytest.mark.thorough),
        pytest.param("apt+pgt", 2, "float64", marks=pytest.mark.slow),
        pytest.param("pgt", 2, "float32", marks=pytest.mark.slow),
    ],
)
def test_an_exported_model_is_the_model(
    tmp_path: Path, target: str, members: int, dtype: str
) -> None:
    model = replace(random_checkpoint(members=members, target=target), card={"licence": "MIT"})
    write_model_file(tmp_path / "model.pt", model)
    command = ["export", str(tmp_path / "model.pt"), "--to", "torch-export", "--dtype", dtype]
    assert main([*command, "-o", str(tmp_path / "model.pt2")]) == 0
    predictor = Predictor.from_file(tmp_path / "model.pt", dtype=dtype)
    calls = {
        f"{number}.{name}": values
        for number, structures in enumerate(frames())
        for name, values in arguments(structures, predictor.cutoff, dtype).items()
    }
    np.savez(tmp_path / "calls.npz", **calls)
    files = [tmp_path / "model.pt2", tmp_path / "calls.npz", tmp_path / "found.npz"]
    subprocess.run([sys.executable, "-c", CALLER, *files], check=True, cwd=tmp_path, timeout=600)
    found = np.load(tmp_path / "found.npz")
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for number, structures in enumerate(frames()):
        for name in predictor.targets:
            expected = [tensors[name] for tensors in predictor.evaluate(structures)]
            ours = found[f"{number}.{name}"]
            assert ours.dtype == np.dtype(dtype)
            assert ours.shape == np.concatenate(expected, axis=1).shape
            assert np.abs(ours - np.concatenate(expected, axis=1)).max() < tolerance
    if "apt" in predictor.targets:  # an ion alone has its charge
        assert np.allclose(found["3.apt"], np.eye(3), atol=tolerance)
    assert np.isnan(found["unknown"]).all()
    if dtype == "float64":
        by_difference, by_autograd = found["slopes"]
        assert abs(by_autograd) > 1e-2
        assert by_autograd == pytest.approx(by_difference, rel=1e-6)
    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        inside = {Path(name).name: name for name in archive.namelist()}
        facts = json.loads(archive.read(inside["aptnn_md.json"]))
        text = archive.read(inside["README.txt"]).decode()
    assert facts["elements"] == ["H", "O", "Na"]
    assert facts["cutoff"] == predictor.cutoff
    assert facts["card"]["licence"] == "MIT"
    assert facts["model_sha256"] == read_model_file(tmp_path / "model.pt").sha256
    assert set(facts["outputs"]) == set(target.split("+"))
    assert facts["n_members"] == members
    for words in (*facts["inputs"], 'torch.export.load("model.pt2")'):
        assert words in text
    assert ("Σᵢ Pᵢ = Q·1" in text) == ("apt" in facts["outputs"])


@pytest.mark.thorough
def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"network: found simple, expected ace.*--network ace"):
        export_model(random_checkpoint("simple"), tmp_path / "model.pt2")
    with pytest.raises(InputError, match="dtype: found 'half'"):
        export_model(random_checkpoint(), tmp_path / "model.pt2", dtype="half")
    assert not (tmp_path / "model.pt2").exists()
