"""A model file of a committee's first member: single.py committee.pt train.extxyz single.pt."""

import sys
from dataclasses import replace

from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.dataset import read_labelled
from aptnn_md.training.evaluation import evaluate


def main(source, data, out):
    committee = read_model_file(source)
    first = replace(committee, members=committee.members[:1])
    error = evaluate(Predictor(first, neutral=False), read_labelled(data)).rmse
    write_model_file(out, replace(first, card={**committee.card, "training_rmse": error}))
    print(f"{out}: training RMSE {error:.4f} e, SHA-256 {read_model_file(out).sha256}")


if __name__ == "__main__":
    main(*sys.argv[1:])
