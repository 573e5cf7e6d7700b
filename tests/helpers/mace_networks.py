"""Small networks of mace-torch that give dipoles, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from aptnn_md.models.quiet_mace import quiet_mace

ELEMENTS = (1, 8, 11)
SCALES = {"products": 2.5, "interactions": 1.2}
LARGER_SCALES = {"products": 3.0, "interactions": 1.5}


def mace_network(kind: str, seed: int = 0) -> Any:
    """A network of double precision whose APTs are of order one."""
    with quiet_mace(), torch.random.fork_rng():
        from e3nn import o3
        from mace import modules

        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float64)
        hidden = "4x0e + 4x1o + 4x2e" if kind == "AtomicDielectricMACE" else "4x0e + 4x1o"
        readout = {"AtomicDipolesMACE": "4x1o", "ScaleShiftMACE": "4x0e"}.get(kind, hidden)
        arguments = {
            "r_max": 4.0,
            "num_bessel": 4,
            "num_polynomial_cutoff": 5,
            "max_ell": 2,
            "interaction_cls": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
            "interaction_cls_first": modules.interaction_classes["RealAgnosticInteractionBlock"],
            "num_interactions": 2,
            "num_elements": len(ELEMENTS),
            "hidden_irreps": o3.Irreps(hidden),
            "MLP_irreps": o3.Irreps(readout),
            "avg_num_neighbors": 3.0,
            "atomic_numbers": list(ELEMENTS),
            "correlation": 2,
            "gate": torch.nn.functional.silu,
            "atomic_energies": None,
        }
        if kind == "EnergyDipolesMACE":
            arguments["atomic_energies"] = torch.tensor([[-1.0, -2.0, -3.0]]).numpy()
        if kind == "ScaleShiftMACE":
            arguments |= {
                "atomic_energies": torch.tensor([-1.0, -2.0, -3.0]).numpy(),
                "atomic_inter_scale": 1.0,
                "atomic_inter_shift": 0.0,
            }
        network = getattr(modules, kind)(**arguments)
        scales = LARGER_SCALES if kind == "AtomicDipolesMACE" else SCALES
        with torch.no_grad():
            # at first products of features, which make APTs asymmetric, are small
            for name, weights in network.named_parameters():
                weights.mul_(scales.get(name.split(".")[0], 1.0))
    return network
