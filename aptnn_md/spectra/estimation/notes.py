"""What the reader of any spectrum should know about it, one sentence each."""

from __future__ import annotations

from aptnn_md.spectra.estimation.power import PowerBlocks

_ALIASED_SHARE = 0.01
_FEW_BLOCKS = 8


def notes_of(blocks: PowerBlocks, quantity: str) -> tuple[str, ...]:
    """Notes that follow from a spectrum alone.

    Parameters
    ----------
    quantity : what it is, e.g. ``"absorption"``
    """
    notes = []
    highest, total = blocks.wavenumber[-1], blocks.mean.sum()
    share = float(blocks.mean[blocks.wavenumber > 0.9 * highest].sum() / total) if total else 0.0
    if share >= _ALIASED_SHARE:
        notes.append(
            f"{100 * share:.0f} % of the {quantity} lies within 10 % of the Nyquist wavenumber "
            f"{highest:.0f} cm⁻¹: with frames {blocks.plan.spacing:g} fs apart, faster vibrations "
            "may appear at wrong wavenumbers"
        )
    if len(blocks.weights) < _FEW_BLOCKS:
        notes.append(
            f"only {len(blocks.weights)} blocks: standard errors were increased after Student so "
            "that two of them hold 95 %, but know themselves badly"
        )
    return tuple(notes)
