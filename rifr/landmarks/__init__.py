"""Five landmarks on faces of any resolution: the network (`cnn6`), what it is shown (`crops`) and its training."""

from rifr.landmarks.cnn6 import INPUT, Cnn6, wing_loss
from rifr.landmarks.crops import View, boxes_of, cut, small_picture
from rifr.landmarks.training import RECIPES, LandmarkRun, calls, fit, fit_all, held_out_scenes, pictures, scenes

__all__ = [
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
