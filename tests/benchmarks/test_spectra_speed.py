"""Spectra and correlation functions beside numpy's and scipy's, their scaling and their memory.

python -m pytest tests/benchmarks/test_spectra_speed.py -m benchmark -s
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.fft import rfft
from scipy.signal import correlate, csd, welch

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra import infrared_spectrum
from aptnn_md.spectra.estimation.correlation import correlations
from aptnn_md.spectra.estimation.terms import Auto, Pair

pytestmark = pytest.mark.benchmark

SPACING = 0.5
ONE = {"x": Auto(np.ones(1))}


def signal(n_frames: int) -> FloatArray:
    return np.random.default_rng(0).normal(size=(n_frames, 3))


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Shortest CPU time of several calls."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def autocorrelation(x: FloatArray, longest: int) -> FloatArray:
    return correlations([x[:, None]], SPACING, SPACING * longest, ONE)["x"].values


def test_correlation_beside_numpy_and_scipy() -> None:
    n, longest = 40_000, 20_000
    x = signal(n)

    def with_numpy() -> FloatArray:
        return sum(np.correlate(c, c, "full")[n - 1 : n + longest] for c in x.T)

    def with_scipy() -> FloatArray:
        return sum(correlate(c, c, method="fft")[n - 1 : n + longest] for c in x.T)

    ours = seconds(lambda: autocorrelation(x, longest))
    expected = with_numpy() / (n - np.arange(longest + 1))
    np.testing.assert_allclose(autocorrelation(x, longest), expected, atol=1e-9)
    direct, by_fft = seconds(with_numpy, 1), seconds(with_scipy)
    print(f"\ncorrelation of {n} frames x 3, {longest} lags, with errors: {1e3 * ours:.0f} ms")
    print(f"numpy.correlate takes {direct / ours:.0f} times as long")
    print(f"scipy.signal.correlate (FFT, no errors) takes {by_fft / ours:.2f} times as long")
    assert direct > 20 * ours


def test_spectrum_beside_scipy() -> None:
    x = signal(1_000_000)
    plan = infrared_spectrum([x], SPACING, 300.0, 1000.0).blocks.plan
    settings = {
        "fs": 1 / SPACING,
        "window": "hann",
        "nperseg": plan.length,
        "nfft": plan.n_fft,
        "detrend": False,
        "axis": 0,
    }
    own = seconds(lambda: infrared_spectrum([x], SPACING, 300.0, 1000.0))
    print(f"\nspectrum of 10⁶ frames x 3 at 20 cm⁻¹, with errors: {1e3 * own:.0f} ms")
    tukey = seconds(lambda: infrared_spectrum([x], SPACING, 300.0, 1000.0, method="blackman-tukey"))
    print(f"by Blackman-Tukey: {1e3 * tukey:.0f} ms")
    whole = seconds(lambda: welch(x, **settings), 1)
    print(f"scipy.signal.welch (same grid, no errors) takes {whole / own:.1f} times as long")
    short = seconds(lambda: welch(x, **(settings | {"nfft": None})), 1)
    print(f"the same without padding: {short / own:.1f} times as long")
    cross = seconds(lambda: csd(x, x[:, ::-1], **settings), 1)
    groups = np.stack([x, x[:, ::-1]], axis=1)
    parts = seconds(
        lambda: infrared_spectrum([groups], SPACING, 300.0, 1000.0, group_labels=["a", "b"]), 1
    )
    print(f"two groups, their cross term and total: {1e3 * parts:.0f} ms")
    print(f"scipy.signal.csd, one cross term: {1e3 * cross:.0f} ms")
    assert own < whole


def test_scaling() -> None:
    """Linear at a fixed resolution; N log N, as one FFT, where the longest lag grows with N."""
    print("\n    frames   spectrum at 20 cm⁻¹   all lags up to N/2   one FFT of 2N points")
    print("                  (µs/frame)        (ns/(N log2 N))       (ns/(N log2 N))")
    rates = []
    for n in (10**4, 10**5, 10**6, 10**7):
        x = signal(n)
        spectrum = seconds(lambda x=x: infrared_spectrum([x], SPACING, 300.0, 1000.0), 1)
        lags = seconds(lambda x=x, n=n: autocorrelation(x[:, :1], n // 2), 1)
        one = seconds(lambda x=x, n=n: rfft(x[:, 0], 2 * n), 1)
        size = n * np.log2(n)
        rates.append((spectrum / n, lags / size, one / size))
        print(
            f"{n:10d}   {1e6 * rates[-1][0]:17.2f}   {1e9 * rates[-1][1]:18.1f}   "
            f"{1e9 * rates[-1][2]:21.1f}"
        )
    assert rates[-1][0] < 2 * rates[1][0]
    # the FFT itself slows down where it outgrows the caches
    assert rates[-1][1] / rates[-1][2] < 3 * rates[1][1] / rates[1][2]


_PEAK = "int(next(x for x in open('/proc/self/status') if 'VmHWM' in x).split()[1])"


def in_fresh_process(script: str) -> list[float]:
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return [float(word) for word in printed.stdout.split()]


@pytest.mark.parametrize("n_frames", [10**7, 10**8])
def test_memory_of_a_generator(n_frames: int) -> None:
    taken, peak = in_fresh_process(f"""
import time
import numpy as np
from aptnn_md.spectra import infrared_spectrum
piece = np.random.default_rng(0).normal(size=(100_003, 3))
n, rest = divmod({n_frames}, len(piece))
def run():
    for _ in range(n):
        yield piece
    yield piece[:rest]
began = time.process_time()
spectrum = infrared_spectrum([run()], 0.5, 300.0, 1000.0)
assert round(spectrum.length / 0.5) == {n_frames}
print(time.process_time() - began, {_PEAK} / 1024)
""")
    print(
        f"\n{n_frames:.0e} frames x 3 from a generator: {taken:.1f} s of CPU, "
        f"{peak:.0f} MiB at most"
    )
    assert peak < 1024


def test_stream_of_ten_million_frames(tmp_path: Path) -> None:
    from aptnn_md.stream import StreamHeader
    from aptnn_md.stream.directory import StreamDirectory
    from aptnn_md.stream.layout import layouts

    header = StreamHeader(timestep=SPACING, temperature=300.0, volume=1000.0)
    directory = StreamDirectory(tmp_path / "stream", header, None)
    directory.layouts = layouts(header, ["dipole_rate/bead", "time", "step"])
    rng = np.random.default_rng(0)
    for start in range(0, 10**7, 500_000):
        step = np.arange(start, start + 500_000)
        rates = rng.normal(size=(500_000, 1, 3))
        directory.extend({"dipole_rate/bead": rates, "time": SPACING * step, "step": step})
    directory.close()
    taken, peak = in_fresh_process(f"""
import time
from aptnn_md.spectra import spectrum_of_streams
began = time.process_time()
spectrum = spectrum_of_streams([{str(tmp_path / "stream")!r}])
assert spectrum.length == 5e6
print(time.process_time() - began, {_PEAK} / 1024)
""")
    print(f"\nstream of 10⁷ frames: {taken:.1f} s of CPU, {peak:.0f} MiB at most")
    assert peak < 1024


def test_cross_density_of_many_signals() -> None:
    """All pairs of 20 signals cost far less than 190 spectra."""
    from aptnn_md.spectra.estimation.plan import plan_spectrum
    from aptnn_md.spectra.estimation.runs import power_blocks
    from aptnn_md.spectra.options import SpectrumOptions

    n_signals = 20
    x = np.random.default_rng(1).normal(size=(50_000, n_signals, 1))
    unit, plan = np.eye(n_signals), plan_spectrum(SpectrumOptions(resolution=60.0), SPACING)
    pairs = {f"{i}-{j}": Pair(unit[i], unit[j]) for i, j in combinations(range(n_signals), 2)}
    one = seconds(lambda: power_blocks([x[:, :1]], plan, ONE))
    many = seconds(lambda: power_blocks([x], plan, pairs), 1)
    print(f"\n{len(pairs)} cross densities: {many / one:.0f} times the time of one density")
    assert many < 2 * len(pairs) * one
