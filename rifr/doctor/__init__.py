"""Why is my number lower? The usual mistakes in how a network is given its photos, tried on a reader's own pairs.

settings       channel order, scaling, placement, mirror images
pairs          genuine and impostor pairs from folders of people, and how sure an accuracy on them is
examination    every setting on the same pairs, and the likeliest mistake
words          what `rifr doctor` prints
traps          what evaluation itself makes of a number: interpolation, folds, ties, the probe's own photo
"""

from rifr.doctor.examination import Examination, Remedy, examine
from rifr.doctor.pairs import FacePairs, draw
from rifr.doctor.settings import PixelRun, Setting
from rifr.readers.folder import open_pack

__all__ = ["Examination", "FacePairs", "PixelRun", "Remedy", "Setting", "draw", "examine", "open_pack"]
