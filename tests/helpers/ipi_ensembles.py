"""Ensembles and path-integral dynamics of i-PI that rates are tested in."""

from helpers.ipi_inputs import BAROSTAT, PILE, SVR

WAVENUMBER = 4.5563353e-06  # cm⁻¹ as angular frequency in atomic units, by i-PI
PA_CMD = (
    "<normal_modes><frequencies style='pa-cmd' units='inversecm'> [5000] </frequencies>"
    "</normal_modes>"
)
CASES = {
    "classical NVE": {},
    "classical NVT": {"mode": "nvt", "thermostat": SVR},
    "classical NPT": {"mode": "npt", "thermostat": SVR, "barostat": BAROSTAT},
    "RPMD": {"n_beads": 4},
    "TRPMD": {"n_beads": 4, "mode": "nvt", "thermostat": PILE},
    "TRPMD, odd": {"n_beads": 3, "mode": "nvt", "thermostat": PILE},
    "PA-CMD": {"n_beads": 4, "mode": "nvt", "thermostat": PILE, "normal_modes": PA_CMD},
    "path-integral NPT": {
        "n_beads": 4,
        "mode": "npt",
        "thermostat": PILE,
        "barostat": BAROSTAT,
    },
    "MTS": {
        "n_beads": 4,
        "mode": "nvt",
        "thermostat": PILE,
        "extra_dynamics": "<nmts>[1, 2]</nmts>",
        "toy_force": "<force forcefield='toy'><mts_weights>[0.4, 0.6]</mts_weights></force>",
    },
}
