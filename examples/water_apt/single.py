"""Make a model file of a committee's first member: single.py committee.pt single.pt."""

import sys
from dataclasses import replace

from aptnn_md.checkpoint import load_checkpoint, save_checkpoint
from aptnn_md.predictor import Predictor


def main(source, out):
    committee = load_checkpoint(source)
    card = dict(committee.card)
    for key in ("training_rmse", "validation_rmse"):
        # these figures are the committee's
        card[f"committee_{key}"] = card.pop(key)
    save_checkpoint(out, replace(committee, members=committee.members[:1], card=card))
    print(out, Predictor.from_file(out).sha256)


if __name__ == "__main__":
    main(*sys.argv[1:])
