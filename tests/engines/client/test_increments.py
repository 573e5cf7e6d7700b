"""Streams of increments: bookkeeping of beads and steps, restarts, and what is refused."""

import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.md.verlet import VelocityVerlet
from helpers import toy_molecules
from helpers.increment_streams import (
    CELL,
    TEMPLATE,
    TIMESTEP,
    Dispatch,
    feed,
    feed_all,
    new,
    paths,
    ring_polymers,
)
from helpers.processes import killed_after
from helpers.tiers import thorough_but

from aptnn_md.domain import Domain
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.settings import IncrementSettings
from aptnn_md.engines.client.trail import StepGeometry, Trail
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader


def mean_dipole(beads):
    return np.mean([toy_molecules.dipole(q) for q in beads], axis=0)


def increments(path):
    return TIMESTEP * StreamReader(path).dipole_rate().sum(axis=1)


def test_beads_in_any_order_with_repetitions_and_folding(tmp_path):
    steps, rng = paths(4), np.random.default_rng(0)
    with_motion = new(tmp_path / "s", 4, groups="molecule+motion")
    for n, beads in enumerate(steps):
        # the first step of a server that has just begun, as any later one of it may not, begins
        # with the first bead
        order = rng.permutation(4) if n > 0 else [0, *rng.permutation([1, 2, 3])]
        # a request may be repeated, and other replicas may come besides
        order = [*order[:2], order[0], *order[2:]]
        whole = rng.integers(-1, 2, size=(2, 3)).repeat(3, axis=0) @ CELL
        feed(with_motion, beads, order, first=7, shift=whole)
        if n > 0:
            feed(with_motion, beads[:1], first=30)
            feed(with_motion, beads, rng.permutation(4), first=7, shift=whole)
    with_motion.close()
    stream = StreamReader(tmp_path / "s")
    assert stream.n_frames == len(steps) - 1
    exact = np.array([mean_dipole(beads) for beads in steps])
    error = np.cumsum(increments(tmp_path / "s"), axis=0) - (exact[1:] - exact[0])
    assert np.abs(error).max() < 1e-3 * np.ptp(exact, axis=0).max()
    assert stream.header.groups[:2] == ("HClO-1 translation", "HClO-1 libration")
    assert stream.f_sum is not None


def test_committee_gives_its_spread(tmp_path):
    steps = paths(2, 3)
    model = as_model(toy_molecules.Committee())
    model.domain = Domain("toy", {"apt": {"H": 0.2, "O": 0.1, "Cl": 0.4}})
    stream = new(tmp_path / "s", 2, predictor=model)
    for beads in steps:
        feed(stream, beads)
    stream.close()
    reader = StreamReader(tmp_path / "s")
    factors = toy_molecules.Committee.factors
    np.testing.assert_allclose(
        reader.read("dipole_rate_std"),
        np.abs(reader.dipole_rate()) * factors.std(ddof=1) / factors.mean(),
    )
    apt = np.array([toy_molecules.polar_tensors(q) for q in steps[-1]])
    largest = np.sqrt((apt**2).mean(axis=(-1, -2))).max() * factors.std(ddof=1)
    assert reader.read("extrapolation")[-1] == pytest.approx(largest)
    limits = np.array([{"H": 0.3, "O": 0.15, "Cl": 0.6}[symbol] for symbol in TEMPLATE.symbols])
    ratio = (np.sqrt((apt**2).mean(axis=(-1, -2))) / limits).max() * factors.std(ddof=1)
    assert reader.read("spread_ratio")[-1] == pytest.approx(ratio)


@pytest.mark.parametrize("lost", [1, 4, 12])
def test_restart_goes_on_where_the_server_does(tmp_path, lost):
    steps = paths(2)
    # the last five are in the trail only
    killed_after(feed_all, tmp_path / "s", steps[:25], n_committed=20)
    assert StreamReader(tmp_path / "s").n_frames == 19
    again = new(tmp_path / "s", 2)
    # the server repeats steps from an older checkpoint, or asks again for what was not answered
    for beads in steps[25 - lost :]:
        feed(again, beads + 1e-9, first=5)
    again.close()
    check_all(tmp_path / "s", steps)


def kill_in_the_eleventh(path, steps, came):
    """A client that had ten steps, and of the next one the beads that came."""

    def feed_a_part():
        first = feed_all(path, steps[:10])
        feed(first, steps[10], order=came)
        return first

    killed_after(feed_a_part)


@pytest.mark.parametrize("came", [(0,), (0, 1), (2, 0), (0, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("n_asked_again", [0, 1])
def test_a_client_that_was_killed_between_the_beads_of_a_step(tmp_path, came, n_asked_again):
    steps = paths(4)
    kill_in_the_eleventh(tmp_path / "s", steps, came)
    again = new(tmp_path / "s", 4)
    # the server asks for what was not answered, and answers may be lost on the way
    rest = [n for n in range(4) if n not in came]
    feed(again, steps[10], order=[*came[len(came) - n_asked_again :], *rest])
    for beads in steps[11:]:
        feed(again, beads)
    again.close()
    check_all(tmp_path / "s", steps)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", thorough_but(range(8), 0, 5))
def test_a_client_that_joins_a_server_in_the_middle_of_a_step(tmp_path, caplog, seed):
    """Others have answered a part of it; a new stream begins with the first whole step."""
    for n in range(6):
        chance = np.random.default_rng(10 * seed + n)
        caplog.clear()
        join(tmp_path / str(n), chance)
        expected = not (tmp_path / str(n) / "whole").exists()
        assert ("the server was in the middle of a step" in caplog.text) == expected


def join(directory, chance):
    n_beads, n_steps = int(chance.integers(2, 6)), 9
    steps = paths(n_beads, n_steps)
    earlier = Dispatch(n_beads, int(chance.integers(1, 4)), chance)
    for _ in range(int(chance.integers(1, 4))):
        calls = list(earlier.step())
    n_answered = int(chance.integers(0, len(calls)))
    answered = [k for call in calls[:n_answered] for k in call]
    stream = new(directory / "s", n_beads)
    own = Dispatch(n_beads, int(chance.integers(1, 4)), chance)
    waiting = [k for k in range(n_beads) if k not in answered]
    n_calls = 0
    for beads in steps:
        for call in own.step(waiting):
            n_calls += 1
            feed(stream, beads, order=call, call=n_calls)
        waiting = None
    stream.close()
    if not answered:
        (directory / "whole").touch()
    check_all(directory / "s", steps[1:] if answered else steps)


@pytest.mark.parametrize("came", [[0], [5, 0, 1], [31], list(range(1, 32))])
@pytest.mark.parametrize("back", thorough_but([0, 1, 2, 3], 0))
def test_beads_that_turn_within_a_step(tmp_path, came, back):
    """With 32 beads a bead has another velocity in each step."""
    steps = ring_polymers()
    kill_in_the_eleventh(tmp_path / "s", steps, came)
    again = new(tmp_path / "s", 32)
    waiting = [n for n in range(32) if n not in came] if back == 0 else None
    for beads in steps[10 - back :]:
        feed(again, beads, order=waiting)
        waiting = None
    again.close()
    check_all(tmp_path / "s", steps)


def test_a_jump_is_warned_of_but_not_motion(tmp_path, caplog):
    """Nor that of atoms that begin at rest, whose second step is three times the first."""
    atoms = TEMPLATE.copy()
    atoms.positions[1] += 0.1
    atoms.set_momenta(np.zeros_like(atoms.positions))
    atoms.calc = toy_molecules.Potential()
    dynamics, stream = VelocityVerlet(atoms, toy_molecules.timestep(TIMESTEP)), new(tmp_path / "s")
    for _ in range(30):
        feed(stream, [atoms.positions.copy()])
        dynamics.run(1)
    assert "set anew" not in caplog.text
    atoms.positions[0, 1] += 0.4
    feed(stream, [atoms.positions.copy()])
    stream.close()
    assert "step 30: an atom moved 0.4 Å, in all steps before" in caplog.text
    assert "this frame is no motion" in caplog.text


@pytest.mark.parametrize("n_beads", [4, 8, 32])
def test_a_part_of_a_step_that_went_to_another_client_is_refused(tmp_path, n_beads):
    """One without a stream, between two clients with one."""
    steps = ring_polymers(n_beads)
    feed_all(tmp_path / "s", steps[:10]).close()
    again = new(tmp_path / "s", n_beads)
    feed(again, steps[10], order=range(n_beads // 2, n_beads))
    with pytest.raises(InputError, match="none of the 10 of this stream and not the next"):
        feed(again, steps[11])
    again.close()


def test_beads_that_were_taken_for_others_are_refused(tmp_path):
    """Finite differences of Suzuki-Chin factorisation, with a client that came before them."""
    steps = paths(2)
    stream = new(tmp_path / "s", 2)
    feed(stream, steps[0], first=2)
    with pytest.raises(RunError, match="replica 0 comes after 2 to 3 were taken for the 2 beads"):
        feed(stream, steps[1])
    stream.close()


def test_copies_that_fill_a_batch_are_no_beads(tmp_path):
    """Unless all beads are at one place, as where a path integral starts from one structure."""
    steps = paths(4)
    steps[0] = steps[0][:1]
    stream = new(tmp_path / "s", 4)
    n_calls = 0
    for n, beads in enumerate(steps):
        # the server may have queued only some beads when it sends the first batch of a step
        for batch in [[0, 1, 2, 3]] if n % 3 != 2 else [[0, 1, 1, 1], [2, 3, 3, 3]]:
            n_calls += 1
            for place, k in enumerate(batch):
                results = stream.evaluate(CELL[None], beads[k][None], True)
                tensors = {name: values[0] for name, values in results.tensors.items()}
                is_copy = place > 0 and np.array_equal(beads[k], beads[batch[place - 1]])
                first = batch[0] + place
                stream.add(first, CELL, beads[k], tensors, is_copy, call=n_calls)
    stream.close()
    check_all(tmp_path / "s", steps)


@pytest.mark.parametrize(
    "parts", [[(0,), (1,)], [(3, 0), (1,)], [(0,), (), (1, 2)], [(2, 1), (0,)]]
)
@pytest.mark.parametrize("n_lost", [0, 1])
def test_clients_that_were_killed_twice_within_a_step(tmp_path, parts, n_lost):
    steps = paths(4)
    kill_within_a_step(tmp_path / "s", steps, parts)
    again = new(tmp_path / "s", 4)
    came = [k for part in parts for k in part]
    # the last answers may be lost on the way
    rest = came[len(came) - n_lost :] + [k for k in range(4) if k not in came]
    feed(again, steps[10], order=rest)
    for beads in steps[11:]:
        feed(again, beads)
    again.close()
    check_all(tmp_path / "s", steps)


def kill_within_a_step(path, steps, parts, back=0):
    """Clients that are killed within a step, the last of them in one of an older checkpoint."""

    def feed_a_part(number):
        stream = feed_all(path, steps[:10]) if number == 0 else new(path, 4)
        step = 10 - back if number == len(parts) - 1 else 10
        feed(stream, steps[step], order=parts[number])
        return stream

    for number in range(len(parts)):
        killed_after(feed_a_part, number)


@pytest.mark.parametrize("parts", [[(0,), (1,)], [(0, 1), (0, 3)], [(3, 2), (1,)]])
@pytest.mark.parametrize("back", thorough_but([1, 2, 5], 1))
@pytest.mark.parametrize("backwards", [False, True])
def test_a_server_that_went_back_between_two_kills(tmp_path, parts, back, backwards):
    steps = paths(4)
    kill_within_a_step(tmp_path / "s", steps, parts, back)
    again = new(tmp_path / "s", 4)
    # of the step to which the server went back, the last client had answered its part
    rest = [k for k in range(4) if k not in parts[-1]]
    feed(again, steps[10 - back], order=rest[::-1] if backwards else rest)
    for beads in steps[11 - back :]:
        feed(again, beads)
    again.close()
    check_all(tmp_path / "s", steps)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1)])
@pytest.mark.parametrize("back", [1, 2, 6])
def test_beads_of_a_killed_client_are_not_mixed_with_those_of_an_older_step(tmp_path, order, back):
    steps = paths(4)

    def feed_a_part():
        first = feed_all(tmp_path / "s", steps[:10])
        feed(first, steps[10], order=(0, 1))
        return first

    killed_after(feed_a_part)
    again = new(tmp_path / "s", 4)
    # the server resumes from an older checkpoint
    for beads in steps[10 - back :]:
        feed(again, beads, order=order)
    again.close()
    check_all(tmp_path / "s", steps)


def test_what_only_the_trail_has_is_written_where_no_server_comes(tmp_path):
    steps = paths(2)
    killed_after(feed_all, tmp_path / "s", steps[:25], n_committed=20)
    assert StreamReader(tmp_path / "s").n_frames == 19
    new(tmp_path / "s", 2).write_out_trail()
    check_all(tmp_path / "s", steps[:25])
    new(tmp_path / "s", 2).write_out_trail()  # nothing is left
    assert StreamReader(tmp_path / "s").n_frames == 24
    # a server that comes after all goes back, or on
    again = new(tmp_path / "s", 2)
    for beads in steps[22:]:
        feed(again, beads + 1e-9)
    again.close()
    for name in ("fresh", "fresh.trail"):
        shutil.rmtree(tmp_path / name)
    check_all(tmp_path / "s", steps)


def test_a_client_that_was_killed_takes_up_the_next_step(tmp_path):
    steps = paths(2)

    def feed_a_part():
        first = feed_all(tmp_path / "s", steps[:10])
        feed(first, steps[10][:1])
        return first

    killed_after(feed_a_part)
    assert StreamReader(tmp_path / "s").n_frames == 0
    second = new(tmp_path / "s", 2)
    for beads in steps[10:]:
        feed(second, beads)
    second.close()
    check_all(tmp_path / "s", steps)


def check_all(path, steps):
    fresh = new(path.with_name("fresh"), steps.shape[1])
    for beads in steps:
        feed(fresh, beads)
    fresh.close()
    assert StreamReader(path).step.tolist() == list(range(1, len(steps)))
    np.testing.assert_allclose(increments(path), increments(path.with_name("fresh")), atol=1e-8)


def test_a_missing_step_is_refused_at_a_restart(tmp_path):
    steps = paths(2)
    for n in range(2):
        stream = new(tmp_path / "s", 2)
        if n == 0:
            for beads in steps[:10]:
                feed(stream, beads)
        else:
            with pytest.raises(InputError, match="none of the 10 of this stream and not the next"):
                feed(stream, steps[11])
        stream.close()
    assert StreamReader(tmp_path / "s").n_frames == 9


def test_streams_of_others_are_not_touched(tmp_path):
    steps = paths()
    stream = new(tmp_path / "s")
    for beads in steps[:5]:
        feed(stream, beads)
    stream.close()
    with pytest.raises(InputError, match="n_beads: found 1, expected 2"):
        feed(new(tmp_path / "s", 2), paths(2)[0])
    (tmp_path / "s.trail").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"a stream without s\.trail"):
        new(tmp_path / "s")
    assert StreamReader(tmp_path / "s").n_frames == 4


def test_a_second_client_is_refused(tmp_path):
    steps = paths()
    first = new(tmp_path / "s")
    for beads in steps[:5]:
        feed(first, beads)
    with pytest.raises(InputError, match="found another client at work"):
        feed(new(tmp_path / "s"), steps[5])
    feed(first, steps[5])
    first.close()
    assert StreamReader(tmp_path / "s").n_frames == 5


def test_a_trail_without_its_stream_does_not_count(tmp_path):
    steps = paths()
    for start in (0, 10):
        stream = new(tmp_path / "s")
        for beads in steps[start : start + 5]:
            feed(stream, beads)
        stream.close()
        reader = StreamReader(tmp_path / "s")
        assert reader.step.tolist() == [1, 2, 3, 4]
        (tmp_path / "s").rename(tmp_path / f"moved{start}")


def turned(cell):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    return cell @ turn


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cell": 1.0001 * CELL}, "step 2: the cell changed.*constant pressure.*aptnn-md ipi"),
        ({"cell": turned(CELL)}, r"step 2: the cell changed.*its rotation \(ffrotations\)"),
        ({"shift": 0.7}, "step 2: an atom moved 1.2. Å, more than 1.0 Å: steps are missing"),
    ],
)
def test_steps_that_are_none_are_refused(tmp_path, options, words):
    steps = paths()
    stream = new(tmp_path / "s")
    feed(stream, steps[0])
    feed(stream, steps[1])
    with pytest.raises(RunError, match=words):
        feed(stream, steps[2], **options)
    stream.close()
    assert StreamReader(tmp_path / "s").n_frames == 1


def test_requests_that_are_no_beads_are_refused(tmp_path):
    steps = paths(4)
    with pytest.raises(RunError, match=r"more replicas than 1 \(0 to 1 at least\).*--beads"):
        feed(new(tmp_path / "a"), steps[0])
    stream = new(tmp_path / "b", 4)
    feed(stream, steps[0])
    feed(stream, steps[1], order=[0, 2, 3])
    with pytest.raises(RunError, match="replica 2 moved on before 1 other of 4 came: another cl"):
        feed(stream, steps[2], order=[2])
    apart = steps[0] + 4.0 * np.arange(4)[:, None, None]
    with pytest.raises(RunError, match=r"Å from their mean: these are no beads of one ring"):
        feed(new(tmp_path / "c", 4), apart)


def test_time_step_from_the_server_or_from_here(tmp_path):
    stream = new(tmp_path / "a", timestep=None)
    with pytest.raises(InputError, match="time step: found none, expected --timestep, or <param"):
        stream.use_parameters({"batch_size": "2"})
    stream.use_parameters({"dt_fs": "0.25"})
    assert stream.timestep == 0.25
    with pytest.raises(InputError, match=r"dt_fs: found 0\.25, expected 0\.5 fs as given here"):
        new(tmp_path / "b").use_parameters({"dt_fs": "0.25"})
    with pytest.raises(InputError, match="dt_fs: found 'short'"):
        new(tmp_path / "b").use_parameters({"dt_fs": "short"})


def test_torn_records_of_a_trail_do_not_count(tmp_path):
    rng = np.random.default_rng(2)
    geometries = [StepGeometry(n, CELL, rng.normal(size=(2, 3, 3))) for n in range(5)]
    trail = Trail(tmp_path / "t", (2, 3, 3), 4)
    for geometry in geometries:
        trail.append(geometry, np.full(4, float(geometry.step)))
    trail.close()
    content = (tmp_path / "t" / "steps").read_bytes()
    size = len(content) // 5
    for cut, flip, n_left in ((0, 0, 5), (1, 0, 4), (size + 1, 0, 3), (0, 20, 4)):
        damaged = bytearray(content[: len(content) - cut])
        if flip:
            damaged[-flip] ^= 1
        (tmp_path / "t" / "steps").write_bytes(damaged)
        trail = Trail(tmp_path / "t", (2, 3, 3), 4)
        assert len(trail) == n_left
        np.testing.assert_array_equal(trail.values(1)[:, 0], np.arange(1, n_left))
        assert trail.find(geometries[2].positions + 1e-7) == 2
        assert trail.find(geometries[2].positions[::-1]) is None
        known = [geometry.step for geometry in trail.last()]
        assert known == [n for n in (3, 4) if n < n_left]
        trail.close()
    with pytest.raises(InputError, match="trail: found other records"):
        Trail(tmp_path / "t", (2, 3, 3), 1)


def test_a_damaged_trail_is_refused_and_left_as_it_is(tmp_path):
    rng = np.random.default_rng(3)
    trail = Trail(tmp_path / "t", (1, 2, 3), 2)
    for step in range(6):
        trail.append(StepGeometry(step, CELL, rng.normal(size=(1, 2, 3))), np.full(2, step))
    trail.close()
    steps = tmp_path / "t" / "steps"
    whole = steps.read_bytes()
    for byte in range(3, len(whole) * 5 // 6, 7):
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << byte % 8
        steps.write_bytes(damaged)
        with pytest.raises(InputError, match=r"damaged"):
            Trail(tmp_path / "t", (1, 2, 3), 2)
        assert steps.read_bytes() == damaged


def test_zeros_after_a_power_failure_are_overwritten(tmp_path):
    geometries = [StepGeometry(n, CELL, np.full((1, 2, 3), float(n))) for n in range(4)]
    trail = Trail(tmp_path / "t", (1, 2, 3), 2)
    for geometry in geometries[:3]:
        trail.append(geometry, np.zeros(2))
    trail.close()
    steps = tmp_path / "t" / "steps"
    whole = steps.read_bytes()
    steps.write_bytes(whole[:-9] + bytes(9 + 2 * len(whole)))
    trail = Trail(tmp_path / "t", (1, 2, 3), 2)
    assert len(trail) == 2
    trail.append(geometries[2], np.zeros(2))
    trail.append(geometries[3], np.ones(2))
    trail.close()
    again = Trail(tmp_path / "t", (1, 2, 3), 2)
    assert len(again) == 4
    np.testing.assert_array_equal(again.values(2), [[0, 0], [1, 1]])
    assert again.find(geometries[3].positions) == 3
    again.close()


def test_no_space_for_the_trail(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a writable directory"):
        Trail(tmp_path / "file", (1, 2, 3), 1)


def test_without_a_cell(tmp_path):
    atoms = Atoms(TEMPLATE.numbers, TEMPLATE.positions)
    evaluator = Evaluator(atoms, None, toy_molecules.Tensors())
    stream = IncrementStream(IncrementSettings(tmp_path / "s", TIMESTEP), atoms, evaluator)
    for beads in paths():
        feed(stream, beads, cell=np.zeros((3, 3)))
    stream.close()
    assert StreamReader(tmp_path / "s").header.volume is None


def test_only_a_trail_is_removed(tmp_path):
    """A trail whose stream was deleted makes way, but none that is written, nor anything else."""
    steps = paths()
    first = new(tmp_path / "s")
    for beads in steps[:5]:
        feed(first, beads)
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(InputError, match=r"trail: found another client at work.*--mpi"):
        feed(new(tmp_path / "s"), steps[0])
    with pytest.raises(RunError):  # its stream is gone
        first.close()
    (tmp_path / "s.trail" / "thesis.txt").write_text("years of work")
    second = new(tmp_path / "s")
    with pytest.raises(InputError, match=r"s\.trail: trail: found thesis\.txt, expected only"):
        feed(second, steps[0])
    second.close()
    assert (tmp_path / "s.trail" / "steps").exists()
    (tmp_path / "s.trail" / "thesis.txt").unlink()
    third = new(tmp_path / "s")
    for beads in steps[:3]:
        feed(third, beads)
    third.close()
    assert StreamReader(tmp_path / "s").n_frames == 2


def test_a_stream_keeps_its_run_id(tmp_path):
    """A random one, which only its user can give to a second client of the same server."""
    steps = paths()
    feed_all(tmp_path / "a", steps[:10]).close()
    run_id = StreamReader(tmp_path / "a").header.run_id
    assert len(run_id) == 32
    again = new(tmp_path / "a")
    for beads in steps[9:]:
        feed(again, beads)
    again.close()
    assert StreamReader(tmp_path / "a").header.run_id == run_id
    feed_all(tmp_path / "b", steps).close()
    assert StreamReader(tmp_path / "b").header.run_id not in ("", run_id)
    feed_all(tmp_path / "c", steps, header={"run_id": run_id}).close()
    assert StreamReader(tmp_path / "c").header.run_id == run_id


def test_a_cell_that_is_made_up(tmp_path, caplog):
    """The server's cell is real unless it is said that it is not; a thin one is told."""
    large = np.diag([40.0, 50.0, 60.0])
    steps = paths(1, 3)
    for name, options in (("box", {}), ("open", {"pbc": False})):
        stream = new(tmp_path / name, **options)
        for beads in steps:
            feed(stream, beads, cell=large)
        stream.close()
        assert ("the cell has 1.2e+05 Å³ for 6 atoms" in caplog.text) == (name == "box")
        caplog.clear()
    boxed, found = StreamReader(tmp_path / "box"), StreamReader(tmp_path / "open")
    assert (boxed.header.volume, found.header.volume) == (pytest.approx(1.2e5), None)
    np.testing.assert_allclose(found.dipole_rate(), boxed.dipole_rate(), atol=1e-12)
