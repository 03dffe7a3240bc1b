"""Five landmarks on faces of any resolution: the network (`cnn6`), its pictures (`datasets`, `crops`), its training."""

from rifr.landmarks.cnn6 import CROP_SCALE, INPUT, Cnn6, wing_loss
from rifr.landmarks.crops import View, boxes_of, cut, small_picture
from rifr.landmarks.datasets import held_out_scenes, pictures, scenes
from rifr.landmarks.training import RECIPES, LandmarkRun, calls, fit, fit_all

__all__ = [
    "CROP_SCALE",
    "INPUT",
    "RECIPES",
    "Cnn6",
    "LandmarkRun",
    "View",
    "boxes_of",
    "calls",
    "cut",
    "fit",
    "fit_all",
    "held_out_scenes",
    "pictures",
    "scenes",
    "small_picture",
    "wing_loss",
]
