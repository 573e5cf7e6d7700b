"""Turn a MACE model file (a pickle) into configuration, card and plain weights.

    python pack.py water-mace.model water-mace.json [--card card.json] [--walls walls.json]
        [--errors errors.json]

Reading the pickle runs what is in it: once, here. What is written holds no code, and is what
``--potential NAME.json`` takes.

``walls.json``: repulsion at distances that are not in the training data, see
``aptnn_md.potentials.mace.Walls``. ``errors.json`` is what ``validate.py forces --json
errors.json`` writes; it goes into the card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from aptnn_md import __version__
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.mace import MACEPotential
from aptnn_md.potentials.stored import write_potential


def configuration_of(model: torch.nn.Module) -> dict[str, Any]:
    """The arguments of ``ScaleShiftMACE`` in JSON's types."""
    with quiet_mace():
        from mace.tools.scripts_utils import extract_config_mace_model

        arguments = extract_config_mace_model(model)
    if "error" in arguments:
        raise SystemExit(arguments["error"])
    return {name: _plain(value) for name, value in arguments.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, torch.Tensor):
        value = value.cpu().numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (bool, int, float, list)):
        return value
    if callable(value):
        return value.__name__
    return str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="file that mace_run_train wrote")
    parser.add_argument("out", help="NAME.json; the weights go to NAME.pt next to it")
    parser.add_argument("--card", help="model card, JSON")
    parser.add_argument("--walls", help="repulsive walls, JSON")
    parser.add_argument("--errors", help="measured errors, JSON")
    options = parser.parse_args()
    with quiet_mace():
        model = torch.load(options.model, map_location="cpu", weights_only=False)
    card = json.loads(Path(options.card).read_text()) if options.card else {}
    if options.errors:
        card["errors"] = json.loads(Path(options.errors).read_text())
    card["parameters"] = sum(p.numel() for p in model.parameters())
    card["package_version"] = __version__
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    walls = json.loads(Path(options.walls).read_text()) if options.walls else []
    write_potential(options.out, configuration_of(model), weights, card, walls)
    print(f"{options.out}: {MACEPotential.from_file(options.out).cutoff} Å cutoff")


if __name__ == "__main__":
    main()
