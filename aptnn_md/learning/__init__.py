"""The loop: sample, select, label, train, judge by the spectrum.

A campaign (:mod:`aptnn_md.learning.campaign`) is a directory of files, each written whole or not at
all. A step whose file is there is done; so a campaign that is killed resumes by looking.
"""
