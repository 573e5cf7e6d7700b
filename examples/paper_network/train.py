"""Train the published network as the paper did: train.py nine.extxyz frame0.extxyz --out simple.pt.

Adam at a learning rate of 0.01, a tenth of it whenever the validation loss has not fallen for ten
epochs, one frame a step, tensors in e as they are. The weights of the last epoch are written, as
the paper takes those after 100 epochs. A training that was stopped is continued by the same
command.
"""

import argparse
import csv
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.prediction.model_file import ModelFile, write_model_file
from aptnn_md.training.batch_errors import errors_in
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import elements_of, read_labelled


@dataclass
class Training:
    """The network, its optimiser and the course so far: (epoch, rate, RMSEs) of each epoch."""

    model: TensorNetwork
    seed: int
    rows: list[tuple[int, float, float, float]] = field(default_factory=list)

    def __post_init__(self):
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=0.1, patience=10
        )
        self.random = torch.Generator().manual_seed(self.seed)

    def epoch(self, training, validation):
        """One pass over the frames, one step a frame."""
        squares = []
        for number in torch.randperm(len(training), generator=self.random).tolist():
            self.optimizer.zero_grad()
            errors = errors_in(self.model, training.batch([number]))["apt"]
            loss = errors.square().mean()
            loss.backward()
            self.optimizer.step()
            squares.append(loss.detach())
        rate = self.optimizer.param_groups[0]["lr"]
        with torch.no_grad():
            held_out = [
                errors_in(self.model, validation.batch([number]))["apt"].square().mean()
                for number in range(len(validation))
            ]
        valid = float(torch.stack(held_out).mean())
        self.schedule.step(valid)
        train = float(torch.stack(squares).mean())
        self.rows.append((len(self.rows) + 1, rate, math.sqrt(train), math.sqrt(valid)))

    def state(self):
        """All that later epochs depend on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.get_state(),
            "rows": self.rows,
        }

    def load(self, state):
        """Continue where the state was taken."""
        precision = self.model.mean.dtype
        self.model.load_state_dict(state["model"])
        self.model.to(precision)  # loading gives the network double precision
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"].cpu())
        self.rows = state["rows"]


def write(out, training, data):
    """The model file and the course of the errors."""
    card = {
        "training_data": Path(data).name,
        "training_rmse": training.rows[-1][2],
        "validation_rmse": training.rows[-1][3],
        "protocol": "Adam 0.01, divided by 10 on a plateau of 10 epochs, one frame a step",
        "epochs": len(training.rows),
    }
    weights = {name: value.cpu() for name, value in training.model.state_dict().items()}
    config = training.model.settings
    write_model_file(out, ModelFile("simple", config, "apt", (weights,), card))
    with out.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "learning_rate", "train", "valid"), *training.rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("valid")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    frames, held_out = read_labelled(options.data), read_labelled(options.valid)
    model = fresh_model("simple", "apt", elements_of(frames), {}, options.seed)
    model.to(options.device, getattr(torch, options.precision))
    training = Training(model, options.seed)
    state = options.out.with_suffix(".state")
    if state.exists():
        training.load(torch.load(state, map_location=options.device, weights_only=True))
    sets = FrameSet(frames, model, kept_bytes=2**33), FrameSet(held_out, model)
    while len(training.rows) < options.epochs and time.monotonic() - began < options.seconds:
        training.epoch(*sets)
        partial = state.with_suffix(".partial")
        torch.save(training.state(), partial)
        partial.replace(state)
        write(options.out, training, options.data)
        number, rate, train, valid = training.rows[-1]
        print(f"epoch {number}: rate {rate:.0e}, train {train:.4f} valid {valid:.4f} e", flush=True)


if __name__ == "__main__":
    main()
