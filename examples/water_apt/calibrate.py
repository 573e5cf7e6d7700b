"""What the spread of a committee's members says about its error, into the committee's model card.

    python calibrate.py COMMITTEE.pt TRAIN.extxyz JUDGED.pt TEST.extxyz

JUDGED is a committee of the same settings that was trained without the frames of TEST; its error
over its spread there is the factor. COMMITTEE has been trained on all frames, TRAIN: the largest
spread of each element there is the limit above which an environment is called unknown.
"""

import sys
from dataclasses import replace

from aptnn_md.domain import KNOWN_SPREAD, SPREAD_FACTOR
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.calibration import calibration
from aptnn_md.training.dataset import read_labelled


def main(path, train, judged, test):
    frames, held_out = read_labelled(train), read_labelled(test)
    factor = calibration(Predictor.from_file(judged), [], held_out)[SPREAD_FACTOR]
    committee = read_model_file(path)
    # no frame is held out from it: all are known
    known = calibration(Predictor(committee), [], frames)[KNOWN_SPREAD]
    card = {**committee.card, SPREAD_FACTOR: factor, KNOWN_SPREAD: known}
    write_model_file(path, replace(committee, card=card))
    print(f"{path}: error {factor['apt']:.2f} times the spread, known spreads {known['apt']} e")


if __name__ == "__main__":
    main(*sys.argv[1:])
