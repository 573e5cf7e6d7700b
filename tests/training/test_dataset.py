from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers import toy_molecules as toy
from helpers.systems import ELEMENTS, SMALL_ACE, triclinic

from aptnn_md.atomic_units import DEBYE
from aptnn_md.errors import InputError
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import LabelledFrame, elements_of, read_labelled, split
from aptnn_md.training.job import TrainingJob, run_training


def write(path, frames):
    ase.io.write(path, frames, format="extxyz")
    return path


def labelled_atoms(seed=0, missing=()):
    atoms = triclinic(seed)
    labels = np.random.default_rng(seed).normal(size=(len(atoms), 9))
    labels[list(missing)] = np.nan
    atoms.arrays["apt"] = labels
    return atoms


def test_labels_come_back_row_major_with_gaps(tmp_path):
    atoms = labelled_atoms(missing=(2, 5))
    (frame,) = read_labelled(write(tmp_path / "a.extxyz", atoms))
    assert frame.tensors.shape == (17, 3, 3)
    assert np.allclose(frame.tensors[1, 2, 0], atoms.arrays["apt"][1, 6], atol=1e-8)
    assert np.flatnonzero(~frame.labelled).tolist() == [2, 5]
    assert elements_of([frame]) == (1, 8, 11)


def test_split_is_reproducible_and_complete(tmp_path):
    frames = read_labelled(write(tmp_path / "a.extxyz", [labelled_atoms(k) for k in range(7)]))
    training, validation = split(frames, 0.3, seed=4)
    assert (len(training), len(validation)) == (5, 2)
    again = split(frames, 0.3, seed=4)
    assert [id(f) for f in again[1]] == [id(f) for f in validation]
    assert len(split(frames, 0.01, seed=4)[1]) == 1


def without_labels(atoms):
    del atoms.arrays["apt"]


def with_six_columns(atoms):
    atoms.arrays["apt"] = np.zeros((len(atoms), 6))


def with_an_infinite_label(atoms):
    atoms.arrays["apt"][2, 4] = np.inf


def without_a_position(atoms):
    atoms.positions[3, 0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_labels, "apt: found no such array"),
        (with_six_columns, r"apt: found shape \(17, 6\), expected \(17, 9\)"),
        (with_an_infinite_label, "apt: found an infinite number, expected finite numbers, or NaN"),
        (without_a_position, "positions: found"),
    ],
)
def test_bad_frames_are_named(tmp_path, spoil, message):
    bad = labelled_atoms(1)
    spoil(bad)
    path = write(tmp_path / "bad.extxyz", [labelled_atoms(0), bad])
    with pytest.raises(InputError, match=rf"bad\.extxyz, frame 1: {message}"):
        read_labelled(path)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.extxyz: file: found nothing"):
        read_labelled(tmp_path / "none.extxyz")
    (tmp_path / "text.extxyz").write_text("this is no structure\n")
    with pytest.raises(InputError, match=r"text\.extxyz: file"):
        read_labelled(tmp_path / "text.extxyz")
    path = write(tmp_path / "nan.extxyz", labelled_atoms(missing=range(17)))
    with pytest.raises(InputError, match="at least one labelled atom"):
        read_labelled(path)


def with_gradients(atoms, order=(0, 1, 2, 3)):
    pgt = np.random.default_rng(3).normal(size=(len(atoms), 3, 3, 3))
    pgt += np.swapaxes(pgt, 1, 2)
    atoms.arrays["pgt"] = pgt.transpose(order).reshape(len(atoms), 27)
    return pgt


def test_labels_of_both_targets(tmp_path):
    atoms, other, failed = labelled_atoms(0, missing=(2,)), labelled_atoms(1), labelled_atoms(2)
    pgt = with_gradients(atoms)
    with_gradients(failed)
    failed.arrays["pgt"][:] = failed.arrays["apt"][:] = np.nan
    frames = read_labelled(write(tmp_path / "a.extxyz", [atoms, other, failed]), "apt+pgt")
    assert np.allclose(frames[0].labels["pgt"], pgt, atol=1e-8)
    assert (frames[0].has_label("apt").sum(), frames[0].has_label("pgt").sum()) == (16, 17)
    # a frame without the array has no labels of that target
    assert (frames[1].has_label("apt").sum(), frames[1].has_label("pgt").sum()) == (17, 0)
    assert [frame.any_label for frame in frames] == [True, True, False]


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (0, 1, 3, 2)])
def test_gradients_in_another_order_of_indices_are_refused(tmp_path, order):
    atoms = labelled_atoms()
    with_gradients(atoms, order)
    with pytest.raises(InputError, match="not symmetric in the first two indices"):
        read_labelled(write(tmp_path / "a.extxyz", atoms), "pgt")


def test_labels_of_whole_frames_obey_the_sum_rule_in_training(caplog):
    model = fresh_model("ace", "apt", ELEMENTS, SMALL_ACE, 0)
    labels = np.random.default_rng(0).normal(size=(17, 3, 3))
    labels += (np.eye(3) - labels.sum(axis=0)) / 17.0  # a sum of 1
    labels[0] += 0.01
    ion, neutral = triclinic(), triclinic()
    ion.info["charge"] = 1
    partly = labels.copy()
    partly[3] = np.nan
    frames = [LabelledFrame(ion, {"apt": labels}), LabelledFrame(ion, {"apt": partly})]
    known = FrameSet(frames, model)
    whole, part = known.batch([0]), known.batch([1])
    assert np.allclose(whole.labels["apt"].tensors.sum(0), np.eye(3), atol=1e-5)
    assert np.allclose(whole.labels["apt"].tensors, labels - 0.01 / 17, atol=1e-5)
    assert np.allclose(part.labels["apt"].tensors, np.delete(labels, 3, axis=0), atol=1e-6)
    assert not caplog.text
    # labels of an ion whose charge nobody said
    kept = FrameSet([LabelledFrame(neutral, {"apt": labels})], model).batch([0])
    assert np.allclose(kept.labels["apt"].tensors, labels, atol=1e-6)
    assert "1 of 1 frames" in caplog.text
    assert "for a charge of 0 e; is charge=... missing" in caplog.text


def test_copies_of_a_structure_are_held_out_together_or_not_at_all():
    frames = [LabelledFrame(labelled_atoms(seed), {}) for seed in range(12)]
    whole = [len(part) for part in split(frames, 0.25, 1)]
    assert whole == [9, 3]
    twice = [*frames, *reversed(frames)]
    for seed in range(5):
        training, validation = split(twice, 0.25, seed)
        assert (len(training), len(validation)) == (18, 6)
        known = {frame.atoms.positions.tobytes() for frame in training}
        assert not known & {frame.atoms.positions.tobytes() for frame in validation}
    # without copies the choice is what it always was
    order = np.random.default_rng(1).permutation(12)[:3]
    assert [id(frame) for frame in split(frames, 0.25, 1)[1]] == [
        id(frames[k]) for k in sorted(order)
    ]
    # of copies of one structure some are held out, so that training has a validation at all
    alone = [len(part) for part in split([frames[0]] * 4, 0.25, 0)]
    assert alone == [3, 1]


def test_what_alone_has_an_element_is_learned_from():
    frames = [LabelledFrame(labelled_atoms(seed), {}) for seed in range(12)]
    rare = labelled_atoms(20)
    rare.numbers[0] = 7
    for seed in range(8):
        training, validation = split([*frames, LabelledFrame(rare, {})], 0.3, seed)
        assert any(frame.atoms is rare for frame in training)
        assert len(validation) == 4
    strangers = [LabelledFrame(Atoms(symbol), {}) for symbol in ("He", "Ne")]
    with pytest.raises(InputError, match="elements: found one of its own in each frame"):
        split(strangers, 0.3, 0)


@pytest.mark.parametrize("network", ["ace", "dipole"])
def test_elements_without_labels_are_refused(tmp_path, network):
    """Their tensors would be those of weights that nothing was learned with."""
    frames = [labelled_atoms(seed) for seed in range(4)]
    others = [labelled_atoms(seed) for seed in range(5, 7)]
    others[0].numbers[0] = 7
    ase.io.write(tmp_path / "valid.extxyz", others)
    ase.io.write(tmp_path / "train.extxyz", frames)
    job = TrainingJob(tmp_path / "train.extxyz", tmp_path / "m.pt", network=network)
    with pytest.raises(InputError, match="apt of N: found no label to train on"):
        run_training(replace(job, valid=tmp_path / "valid.extxyz"))
    (symbol,) = {str(frames[0].symbols[0])}
    for atoms in frames:
        atoms.arrays["apt"][atoms.symbols == symbol] = np.nan
    ase.io.write(tmp_path / "train.extxyz", frames)
    with pytest.raises(InputError, match=f"apt of {symbol}: found no label to train on"):
        run_training(job)
    assert not (tmp_path / "m.pt").exists()


def test_dipoles_are_checked_beside_tensors_that_are_not_learned(tmp_path):
    frames = []
    for seed in range(10):
        atoms = toy.structure(1, seed=seed)
        atoms.arrays["apt"] = toy.polar_tensors(atoms.positions).reshape(-1, 9)
        atoms.info["dipole"] = toy.dipole(atoms.positions) / (DEBYE if seed < 3 else 1.0)
        frames.append(atoms)
    ase.io.write(tmp_path / "d.extxyz", frames)
    with pytest.raises(InputError, match="dipole: found debye in 3 of 10 frames"):
        read_labelled(tmp_path / "d.extxyz", "dipole")
    assert len(read_labelled(tmp_path / "d.extxyz", "apt")) == 10


@pytest.mark.parametrize("name", ["dipole", "polarizability"])
def test_two_labels_of_a_frame_that_differ(tmp_path, name):
    atoms = toy.structure(1)
    value = np.array([0.1, 0.2, 0.3]) if name == "dipole" else np.diag([1.0, 2.0, 3.0])
    atoms.info |= {name: value, f"REF_{name}": 2.0 * value}
    ase.io.write(tmp_path / "f.extxyz", atoms)
    message = f"{name}: found {name} and REF_{name}, which differ, expected --key {name}=NAME"
    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path / "f.extxyz", name)
    (frame,) = read_labelled(tmp_path / "f.extxyz", name, {name: f"REF_{name}"})
    np.testing.assert_allclose(getattr(frame, name), 2.0 * value)
