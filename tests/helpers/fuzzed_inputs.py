"""Valid inputs of every kind, to be damaged: model, stream, TOML, extxyz, i-PI's, a server's words.

:data:`FUZZED` is the table; each of its functions makes one in a directory.
"""

from __future__ import annotations

import argparse
import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import torch

from aptnn_md.atomic_units import CODATA
from aptnn_md.cli import learn
from aptnn_md.cli.train import add_arguments, make_job
from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.client import Client
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.settings import ClientSettings
from aptnn_md.engines.lammps.runs import chosen_runs
from aptnn_md.engines.trajectory.dipole_stream import stream_dipoles
from aptnn_md.engines.trajectory.opening import open_trajectory
from aptnn_md.engines.trajectory.settings import DipoleSettings, TrajectoryFiles
from aptnn_md.errors import InputError
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import run_path
from aptnn_md.structure_files import read_structures
from aptnn_md.training.dataset import read_labelled
from aptnn_md.training.potential.state import PotentialState
from helpers import campaigns, short_runs, stored_runs
from helpers import toy_molecules as toy
from helpers.fuzz import PICKLES, Fuzzed, mutate_bytes, mutate_text
from helpers.paths import DATA
from helpers.systems import random_checkpoint, triclinic


def model(directory: Path) -> Fuzzed:
    """Bytes of a model file, or pickles that are none."""
    path, atoms = directory / "valid.pt", triclinic(1)
    write_model_file(path, random_checkpoint())
    content = path.read_bytes()

    def mutated(rng: random.Random) -> Path:
        damaged = Path("model.pt")
        foreign = rng.random() < 0.05
        damaged.write_bytes(rng.choice(PICKLES) if foreign else mutate_bytes(content, rng))
        return damaged

    def tensors(damaged: object) -> bytes:
        assert isinstance(damaged, Path)
        return Predictor.from_file(damaged, neutral=False)(atoms).tobytes()

    return Fuzzed(mutated, tensors, tensors(path))


def stream(directory: Path) -> Fuzzed:
    """Metadata and chunks of a stream, files that are missing or in each other's place."""
    short_runs.md(directory)
    valid = directory / "stream"

    def mutated(rng: random.Random) -> tuple[Path, str]:
        damaged = Path("stream").absolute()
        shutil.copytree(valid, damaged)
        files = sorted(file for file in damaged.rglob("*") if file.is_file())
        jsons = [file for file in files if file.suffix == ".json"]
        file, other = rng.choice(rng.choice((files, jsons))), rng.choice(files)
        kind = rng.randrange(8)
        if kind == 0:
            file.unlink()
        elif kind == 1:
            shutil.copyfile(other, file) if other != file else None
        elif file.suffix == ".json" and kind < 6:
            file.write_text(mutate_text(file.read_text(), rng))
        else:
            file.write_bytes(mutate_bytes(file.read_bytes(), rng))
        return damaged, f"{file.relative_to(damaged)}, kind {kind}"

    def content(damaged: object) -> object:
        assert isinstance(damaged, tuple)
        return short_runs.stream_content(damaged[0])

    return Fuzzed(mutated, content, short_runs.stream_content(valid))


def ensemble(directory: Path) -> Fuzzed:
    """The file that says which runs of an ensemble there are, and a first run that is missing.

    An ensemble without its last run is one that is not complete yet.
    """
    short_runs.ensemble(directory)
    valid = directory / "runs"
    text = (valid / "ensemble.json").read_text()

    def mutated(rng: random.Random) -> tuple[Path, str]:
        damaged = Path("runs").absolute()
        shutil.copytree(valid, damaged)
        kind = rng.randrange(10)
        if kind == 0:
            shutil.rmtree(run_path(damaged, 1))
        elif kind < 4:
            data = mutate_bytes(text.encode(), rng)
            (damaged / "ensemble.json").write_bytes(data)
        else:
            (damaged / "ensemble.json").write_text(
                mutate_text(text, rng), encoding="utf-8", errors="surrogateescape"
            )
        return damaged, f"kind {kind}: {(damaged / 'ensemble.json').read_bytes()!r}"

    def content(damaged: object) -> object:
        assert isinstance(damaged, tuple)
        return short_runs.ensemble_content(damaged[0])

    return Fuzzed(mutated, content, short_runs.ensemble_content(valid))


TRAINING = """\
data = "train.extxyz"
out = "model.pt"
target = "apt"
committee = 2
valid_fraction = 0.2
network_name = "ace"
device = "cpu"
key = ["apt=born"]
[network]
cutoff = 4.0
n_radial = 4
n_channels = 6
[training]
epochs = 6
learning_rate = 1e-3
batch_size = 2
seed = 1
[card]
licence = "MIT"
"""


def toml(directory: Path) -> Fuzzed:
    """A file of ``aptnn-md train --config``."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    def mutated(rng: random.Random) -> str:
        return mutate_text(TRAINING, rng)

    def use(text: object) -> None:
        path = Path("train.toml")
        path.write_text(str(text), encoding="utf-8", errors="surrogateescape")
        make_job(parser.parse_args(["--config", str(path)]))

    return Fuzzed(mutated, use)


CAMPAIGN = """\
structures = ["start.xyz"]
engine = "tblite"
out = "campaign"
temperature = 310.0
charge = 0
properties = ["apt"]
cycles = 2
seed = 3
[sampling]
first_frames = 6
hot = 1.5
[tensors]
committee = 2
[tensors.network_settings]
n_channels = 8
[tensors.training]
learning_rate = 1e-3
[forces]
steps = 50
[forces.settings]
channels = 8
cutoff = 4.0
[dynamics]
runs = 8
resolution = 50.0
[judging]
tolerance = 0.2
wavenumbers = [0.0, 3500.0]
harmonic = "members"
"""


def campaign(directory: Path) -> Fuzzed:
    """A file of ``aptnn-md learn``."""
    parser = argparse.ArgumentParser()
    learn.add_arguments(parser)

    def mutated(rng: random.Random) -> str:
        return mutate_text(CAMPAIGN, rng)

    def use(text: object) -> None:
        path = Path("campaign.toml")
        path.write_text(str(text), encoding="utf-8", errors="surrogateescape")
        learn.make_settings(parser.parse_args([str(path)]))

    return Fuzzed(mutated, use)


def campaign_files(directory: Path) -> Fuzzed:
    """JSON files of a campaign; times may be others, as no result depends on them."""
    valid = directory / "campaign"
    valid.mkdir()
    contents = {name: use() for name, use in campaigns.documents(valid).items()}
    texts = {name: (valid / name).read_text() for name in contents}

    def mutated(rng: random.Random) -> str:
        name = rng.choice(sorted(contents))
        for other, text in texts.items():
            (valid / other).write_text(text)
        if rng.random() < 0.5:
            (valid / name).write_bytes(mutate_bytes(texts[name].encode(), rng))
        else:
            text = mutate_text(texts[name], rng)
            (valid / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        return name

    readers = campaigns.readers(valid)
    return Fuzzed(mutated, lambda name: readers[str(name)]() == contents[str(name)], True)


def replicas(directory: Path) -> Fuzzed:
    """The state of replicas."""
    campaigns.replicas_of(directory)
    content = (directory / "r.npz").read_bytes()

    def mutated(rng: random.Random) -> bytes:
        foreign = rng.random() < 0.05
        data = rng.choice(PICKLES) if foreign else mutate_bytes(content, rng)
        Path("r.npz").write_bytes(data)
        return data

    return Fuzzed(
        mutated, lambda data: campaigns.replicas_of(Path()), campaigns.replicas_of(directory)
    )


def potential_state(directory: Path) -> Fuzzed:
    """The state of a potential's training, or pickles that are none."""
    path = directory / "valid.state"
    member = {"configuration": {"r_max": 3.0}, "trainer": {"parameters": [torch.eye(3)]}}
    member |= {"ended": "", "by_clock": False}
    PotentialState(path, {"committee": 2}, [member]).write()
    content = path.read_bytes()

    def mutated(rng: random.Random) -> bytes:
        return rng.choice(PICKLES) if rng.random() < 0.1 else mutate_bytes(content, rng)

    def use(data: object) -> object:
        assert isinstance(data, bytes)
        Path("p.state").write_bytes(data)
        state = PotentialState(Path("p.state"), {"committee": 2})
        job = state.read("cpu")
        return repr(job), short_runs.plain(state.members)

    return Fuzzed(mutated, use, use(content))


SCRIPT = """\
units metal   # a comment "
read_data start.data
pair_coeff * * pot.yace O H
run &
  10 pre no
if "${a} > 3" then "run 20" "print 'x y'" elif ${b} \"\"\"run 30\"\"\" else 'run 40 upto'
include in.lmp.part
print \"\"\"several
lines\"\"\"
run 50
"""


def lammps_script(directory: Path) -> Fuzzed:
    """A script of LAMMPS, as far as it is read here, and its choice of runs."""

    def mutated(rng: random.Random) -> tuple[str, str]:
        choice = rng.choice(["", "all", "last", "2-", "1,3"])
        return mutate_text(SCRIPT, rng), mutate_text(choice, rng) if choice else choice

    def use(given: object) -> None:
        assert isinstance(given, tuple)
        text, choice = given
        path = Path("in.lmp")
        path.write_text(str(text), encoding="utf-8", errors="surrogateescape")
        Path("in.lmp.part").write_text("run 60\n")
        for place, number in chosen_runs(path, choice) or set():
            assert place.name in ("in.lmp", "in.lmp.part")
            assert 1 <= number <= 1 + text.count("\n") + text.count("\r")

    return Fuzzed(mutated, use)


def extxyz(directory: Path) -> Fuzzed:
    """Frames with labels, as structures and as training data; no number may be NaN afterwards."""
    frames = []
    for seed in range(2):
        atoms = triclinic(seed, n_atoms=5, size=4.0)
        atoms.arrays["apt"] = np.arange(45.0).reshape(5, 9) % 7 - 3
        atoms.info["charge"] = 0
        frames.append(atoms)
    ase.io.write(directory / "valid.extxyz", frames)
    valid = (directory / "valid.extxyz").read_text()

    def mutated(rng: random.Random) -> str:
        return mutate_text(valid, rng)

    def use(text: object) -> None:
        path = Path("frames.extxyz")
        path.write_text(str(text), encoding="utf-8", errors="surrogateescape")
        for atoms in read_structures(path):
            assert np.isfinite(atoms.positions).all()
            assert np.isfinite(atoms.cell.array).all()
        for frame in read_labelled(path):
            assert not np.isinf(frame.tensors).any()

    return Fuzzed(mutated, use)


PARAMETERS = (
    "{stream: run.zarr, stride: 2, estimators: bead+apt-at-centroid, groups: element, "
    "model: MODEL, beads_too: False, velocities: False, device: cpu, total_charge: 0.0}"
)


def ipi_parameters(directory: Path) -> Fuzzed:
    """``<parameters>`` of the plugin, as i-PI reads them; what i-PI refuses counts as found."""
    from ipi.utils.io.inputs.io_xml import read_dict

    from aptnn_md.engines.ipi.plugin import StreamPlugin

    path = directory / "valid.pt"
    write_model_file(path, random_checkpoint())

    def mutated(rng: random.Random) -> str:
        return mutate_text(PARAMETERS.replace("MODEL", str(path)), rng)

    def use(text: object) -> None:
        try:
            parameters = read_dict(str(text))
        except (ValueError, IndexError) as error:
            raise InputError("i-PI", "parameters", type(error).__name__, "a dictionary") from error
        if not all(str(name).isidentifier() for name in parameters):
            raise InputError("i-PI", "parameters", "no names", "names")
        StreamPlugin(**parameters)

    return Fuzzed(mutated, use)


class _Words:
    """An address whose server says some bytes and is gone."""

    def __init__(self, data: bytes) -> None:
        self.data, self.used = data, False

    def connect(self) -> socket.socket:
        """A connected socket, once."""
        if self.used:
            raise ConnectionRefusedError(111, "Connection refused")
        self.used = True
        mine, theirs = socket.socketpair()

        def talk() -> None:
            try:
                mine.sendall(self.data)
                mine.shutdown(socket.SHUT_WR)
                mine.settimeout(5)
                while mine.recv(1 << 16):
                    pass
            except OSError:
                pass
            finally:
                mine.close()

        threading.Thread(target=talk, daemon=True).start()
        return theirs

    def complaint(self, error: OSError) -> str:
        """Say why there is no connection."""
        return f"no server ({error.strerror})"


def protocol(directory: Path) -> Fuzzed:
    """What a server of i-PI's protocol says to a client."""
    atoms = toy.structure(2, pbc=True)
    cell, q = atoms.cell.array.T / CODATA.bohr, atoms.positions / CODATA.bohr
    step = [
        b"STATUS      ",
        b"INIT        " + struct.pack("=ii", 0, 12) + b" dt_fs : 0.5",
        b"STATUS      ",
        b"POSDATA     " + cell.tobytes() + np.linalg.inv(cell).tobytes(),
        struct.pack("=i", len(atoms)) + q.tobytes(),
        b"STATUS      ",
        b"GETFORCE    ",
    ]
    valid = b"".join(step * 2) + b"EXIT        "

    def mutated(rng: random.Random) -> bytes:
        return mutate_bytes(valid, rng)

    def use(data: object) -> None:
        assert isinstance(data, bytes)
        evaluator = Evaluator(atoms, toy.Potential(), toy.Tensors())
        settings = ClientSettings(wait=0.0)
        Client(_Words(data), evaluator, Answers(), None, settings).run()  # type: ignore[arg-type]

    return Fuzzed(mutated, use)


def trajectory(directory: Path) -> Fuzzed:
    """Trajectories in text: a dump of LAMMPS, extended xyz, beads of i-PI."""
    stored = stored_runs.run(directory / "md", n_frames=4)
    stored_runs.write_dump(directory / "valid.lammpstrj", stored)
    ase.io.write(directory / "valid.extxyz", stored.frames())
    steps, atoms = range(4), stored.atoms
    texts = {
        "t.lammpstrj": (directory / "valid.lammpstrj").read_text(),
        "t.xyz": (directory / "valid.extxyz").read_text(),
        "t.ipi.xyz": stored_runs.ipi_text(steps, 0, stored.positions, atoms, digits=4),
    }

    def mutated(rng: random.Random) -> tuple[str, str]:
        name = rng.choice(sorted(texts))
        return name, mutate_text(texts[name], rng)

    def use(damaged: object) -> None:
        assert isinstance(damaged, tuple)
        path = Path(damaged[0])
        path.write_text(damaged[1], encoding="utf-8", errors="surrogateescape")
        with open_trajectory(TrajectoryFiles((path,), lammps_units="metal")) as frames:
            for k in range(len(frames)):
                frame = frames.read(k)
                assert np.isfinite(frame.positions).all()
                assert frame.velocities is None or np.isfinite(frame.velocities).all()

    return Fuzzed(mutated, use)


def dipoles(directory: Path) -> Fuzzed:
    """Series of dipoles: tables, outputs of LAMMPS and CP2K, extras of i-PI."""
    values = np.random.default_rng(0).normal(size=(8, 3)).round(3)
    rows = [f"{n},{0.5 * n},{x},{y},{z}" for n, (x, y, z) in enumerate(values)]
    heads = [f" #EXTRAS(dipole)# Step: {n:10d}\n" for n in range(len(values))]
    ipi = "".join(f"{h}{x} {y} {z}\n" for h, (x, y, z) in zip(heads, values, strict=True))
    thermo = "\n".join(row.replace(",", " ") for row in rows)
    texts = {
        "d.csv": "step,time[fs],mu_x[D],mu_y[D],mu_z[D]\n" + "\n".join(rows) + "\n",
        "d.extras": ipi,
        "log.lammps": "LAMMPS\nStep Time d[1] d[2] d[3]\n" + thermo + "\nLoop time of 1\n",
        "cp2k.out": (DATA / "cp2k" / "hf-moments.dat").read_text(),
        "mm.out": "".join((DATA / "cp2k" / "ions.out").read_text().splitlines(True)[:60]),
    }

    def mutated(rng: random.Random) -> tuple[str, str]:
        name = rng.choice(sorted(texts))
        return name, mutate_text(texts[name], rng)

    def use(damaged: object) -> None:
        assert isinstance(damaged, tuple)
        path = Path(damaged[0])
        path.write_text(damaged[1], encoding="utf-8", errors="surrogateescape")
        shutil.rmtree("stream", ignore_errors=True)
        stream_dipoles(DipoleSettings((path,), Path("stream"), timestep=0.5))
        assert np.isfinite(StreamReader("stream").dipole_rate()).all()

    return Fuzzed(mutated, use)


FUZZED: dict[str, Callable[[Path], Fuzzed]] = {
    "model": model,
    "stream": stream,
    "ensemble": ensemble,
    "toml": toml,
    "extxyz": extxyz,
    "trajectory": trajectory,
    "dipoles": dipoles,
    "i-PI parameters": ipi_parameters,
    "LAMMPS script": lammps_script,
    "protocol": protocol,
    "campaign": campaign,
    "files of a campaign": campaign_files,
    "replicas": replicas,
    "state of a potential": potential_state,
}
