"""Scripts run as LAMMPS runs them: loops, branches, included files, and its errors as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.lammps_runs import needs_lammps, stream_of, why_not, write_script

from aptnn_md.engines.lammps.library import open_lammps
from aptnn_md.engines.lammps.runs import chosen_runs, run_lines
from aptnn_md.engines.lammps.script import read_lines, words_of
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader
from aptnn_md.testing.engines import LinearDipole

LOOP = """\
variable n index 3
variable i loop $n
label again
print "loop $i"
run 10 pre no
if "$i > 2" then &
    "print 'last one'" &
  elif "$i == 2" "variable second equal $i" &
  else "print more"
next i
jump SELF again
include rest.lmp
"""
OUTPUT = """\
thermo_style custom step temp pe ke etotal press
dump 1 all custom 7 d.dump id x y z vx vy vz
dump_modify 1 sort id format float %20.15g
"""


def numbers(directory):
    """What LAMMPS wrote of the run: numbers of its log, and the dump."""
    log = (directory / "log.lammps").read_text().splitlines()
    thermo = [line.split() for line in log if line[:10].strip().isdigit()]
    return thermo, (directory / "d.dump").read_text()


@needs_lammps
@pytest.mark.parametrize(
    "fixes",
    [
        "fix 1 all langevin 300 300 1.0 48279\nfix 2 all nph tri 0 0 1.0",
        "fix 1 all nvt temp 300 300 0.1",
    ],
)
def test_not_a_number_of_the_run_changes(fixes, tmp_path):
    """A script with a loop, with branches and a file, alone and streamed: the same to the bit."""
    (tmp_path / "rest.lmp").write_text("run 5\nprint 'at ${second}'\n")
    write_script(tmp_path, LOOP, fixes, before=OUTPUT)
    stream_of(tmp_path, LinearDipole(), stride=3, runs="all")
    streamed = numbers(tmp_path)
    (tmp_path / "d.dump").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        lmp = open_lammps()
        lmp.file("in.lmp")
        lmp.close()
    thermo, dump = numbers(tmp_path)
    assert len(thermo) > 5
    assert dump.count("TIMESTEP") == 6
    assert streamed == (thermo, dump)
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(0, 36, 3))


@needs_lammps
def test_branches_and_loops_are_followed(tmp_path):
    (tmp_path / "rest.lmp").write_text("print 'at ${second}'\nquit\nnonsense\n")
    write_script(tmp_path, LOOP)
    stream_of(tmp_path, LinearDipole(), runs="1")
    said = [line for line in (tmp_path / "log.lammps").read_text().splitlines() if line]
    printed = [line for line in said if line in ("more", "last one", "at 2") or line[:4] == "loop"]
    assert printed == ["loop 1", "more", "loop 2", "loop 3", "last one", "at 2"]
    assert StreamReader(tmp_path / "s.zarr").n_frames == 31


@needs_lammps
@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        ("run 20\nrun 30", InputError, r"found 2 run commands in lines 1\d, 1\d, expected --runs"),
        ("pair_style nonsense\nrun 5", InputError, "line 1[0-9]: pair_style: found ERROR: Unrecog"),
        ("run 5 nonsense", RunError, "line 1[0-9]: LAMMPS: ERROR: .*nonsense"),
        ("temper 10 5 300 1 1 1", InputError, "temper, expected run: exchange changes"),
        ("rerun x.dump dump x y z", InputError, "rerun, expected run: .*aptnn-md trajectory"),
        ("run_style respa 2 4 bond 1 pair 2\nrun 5", InputError, "respa, expected verlet"),
        ("minimize 0 1e-4 10 10", InputError, "no run of more than 0 steps"),
        ("jump SELF nowhere", InputError, "no label nowhere"),
        ("include nowhere.lmp", InputError, "nowhere.lmp: LAMMPS script"),
        ("fix 9 all ipi nowhere 31415 unix\nrun 5", InputError, "found ipi, .*aptnn-md ipi"),
        ("fix 9 all deposit 1 1 5 9 region b\nrun 20", InputError, "deposit"),
        (
            "fix 9 all dt/reset 5 1e-5 1e-3 1e-4\nrun 20",
            RunError,
            "the time step is .* it was 0.5 fs",
        ),
        ("group one id 3\nrun 5 every 2 'delete_atoms group one bond yes'", RunError, "11 atoms"),
    ],
)
def test_what_cannot_be_streamed_is_said(run, error, message, tmp_path):
    write_script(tmp_path, run)
    with pytest.raises(error, match=message):
        stream_of(tmp_path, LinearDipole())


@needs_lammps
def test_frames_before_a_failure_are_safe(tmp_path):
    """Atoms that fly apart: LAMMPS's own words, and the frames before on disk."""
    write_script(tmp_path, "run 30\nvelocity all scale 1e9\nrun 50", timestep=1.0)
    with pytest.raises(RunError, match=r"line 1\d: LAMMPS: ERROR.*(Lost atoms|missing)"):
        stream_of(tmp_path, LinearDipole(), runs="1")
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(31))


@needs_lammps
def test_an_error_of_the_model_ends_the_run(tmp_path):
    class Failing(LinearDipole):
        def __call__(self, atoms):
            if len(self.snapshots) == 7:
                raise ValueError("no more")
            return super().__call__(atoms)

    write_script(tmp_path, "run 1000000000")
    with pytest.raises(RunError, match="ValueError: no more"):
        stream_of(tmp_path, Failing())
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(7))


@needs_lammps
def test_only_the_chosen_runs_are_streamed(tmp_path):
    write_script(tmp_path, "run 10\nreset_timestep 0\nrun 20\nrun 7")
    summary = stream_of(tmp_path, LinearDipole(), runs="2-")
    assert (summary.first_step, summary.last_step, summary.finished) == (0, 27, True)
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(28))


@needs_lammps
@pytest.mark.parametrize(
    "between", ["velocity all scale 200", "minimize 0 1e-6 5 5", "reset_timestep 0", "run 4"]
)
def test_two_trajectories_are_not_one_stream(between, tmp_path):
    runs = "1,3" if between == "run 4" else "all"
    write_script(tmp_path, f"run 10\n{between}\nrun 10")
    with pytest.raises(InputError, match="another state than at the end of the streamed run"):
        stream_of(tmp_path, LinearDipole(), runs=runs)
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(11))


@needs_lammps
def test_an_existing_stream_is_not_overwritten(tmp_path):
    write_script(tmp_path)
    stream_of(tmp_path, LinearDipole())
    with pytest.raises(InputError, match="--restart to continue it"):
        stream_of(tmp_path, LinearDipole())


def test_runs_are_counted_in_the_order_of_their_lines(tmp_path):
    script, other = tmp_path / "in.lmp", tmp_path / "other.lmp"
    other.write_text("run 100\n")
    script.write_text(
        f"run 0\ninclude {other}\nif '$x > 1' then 'run 5' else 'print x'\n# run 7\nrun &\n  8\n"
    )
    assert run_lines(script) == [(other, 1), (script, 3), (script, 5)]
    assert chosen_runs(script, "last") == {(script, 5)}
    assert chosen_runs(script, "1,3") == {(other, 1), (script, 5)}
    assert chosen_runs(script, "2-") == {(script, 3), (script, 5)}
    assert chosen_runs(script, "all") is None
    for wrong in ("4", "0", "2-1", "x", "1-x"):
        with pytest.raises(InputError, match="numbers from 1 to 3"):
            chosen_runs(script, wrong)


def test_a_file_that_includes_itself_is_refused(tmp_path):
    script, other = tmp_path / "in.lmp", tmp_path / "other.lmp"
    script.write_text(f"include {other}\n")
    other.write_text(f"run 3\ninclude {script}\n")
    with pytest.raises(InputError, match="do not include themselves"):
        run_lines(script)


def test_only_line_feeds_end_lines_and_names_may_be_anything(tmp_path):
    """As in LAMMPS: a comment may hold what Python's text takes for the end of a line."""
    script = tmp_path / "in.lmp"
    script.write_text("# \x85 \u2028 \x0b \x0c \x1c \x1d\nrun 5\n" + f"include {'x' * 5000}\nrun 6")
    assert run_lines(script) == [(script, 2), (script, 4)]
    assert [line.number for line in read_lines(script)] == [1, 2, 3, 4]
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(InputError, match="LAMMPS script"):
            read_lines(Path(name))


def test_lines_are_joined_and_words_unquoted(tmp_path):
    script = tmp_path / "in.lmp"
    script.write_text(
        'run &\n 5 # a comment "\nprint """a\nb" c"""\n\nfix 1 all print 5 "x \'y\'"\n'
    )
    lines = read_lines(script)
    assert [(line.number, words_of(line.text)) for line in lines] == [
        (1, ["run", "5"]),
        (3, ["print", 'a\nb" c']),
        (5, []),
        (6, ["fix", "1", "all", "print", "5", "x 'y'"]),
    ]


def test_the_reason_is_named_where_there_is_no_lammps():
    assert "aptnn_md[lammps]" in why_not() or not why_not()
