"""Five landmarks on faces of any resolution: CNN-6 trained with the Wing loss (Feng et al., 2018), as in section III.

    run = landmarks.fit("wing+lr", "mini")       # finds or trains
    points = run.predict(pictures, boxes)        # (N, 5, 2) in the pictures' pixels
    aligned = run.aligner()(small_crop)          # (112, 112, 3), for sets that come unaligned

A face is cut out of its picture loosely: an upright square whose side is a multiple of the *face width*, the side of
the aligned 112x112 face in the picture's pixels. The network sees the square as 64x64 and answers with points in it.
The paper's idea for small faces is in what it is shown: some of the squares were brought down to few pixels first, half
of these as a camera does it (`rifr.camera`), for the paper's WIDER FACE holds small faces of that kind.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from rifr import align, camera, devices, networks, presets, similarity, storage
from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError, TrainingError
from rifr.landmarks import cnn6, crops, datasets
from rifr.landmarks.cnn6 import CROP_SCALE, Cnn6, wing_loss
from rifr.landmarks.crops import View, boxes_of, cut, in_pictures
from rifr.packs import FacePack
from rifr.presets import LandmarkTraining, Preset
from rifr.training import parallel, process_group, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Progress, StoredRun

BATCH = 256  # faces at a time when predicting


@dataclass(frozen=True)
class LandmarkRecipe:
    """A landmark network.

    Attributes
    ----------
    label
        As figures call it.
    loss
        Wing or L2.
    low
        Whether half of its faces are brought down to few pixels.
    """

    label: str
    loss: Literal["wing", "l2"]
    low: bool


RECIPES = {
    "wing+lr": LandmarkRecipe("Wing loss, faces of all resolutions", "wing", True),
    "l2+lr": LandmarkRecipe("L2 loss, faces of all resolutions", "l2", True),
    "wing-hr": LandmarkRecipe("Wing loss, large faces only", "wing", False),
}
"""The networks of chapter 6: `wing+lr` is the paper's, each of the others takes one thing away."""


@dataclass(frozen=True)
class LandmarkAligner:
    """From a picture (h, w, 3) uint8 that is one face to the aligned face (112, 112, 3).

    Attributes
    ----------
    find
        From such a picture to its landmarks (5, 2).
    key
        By which packs that it aligned are found.
    """

    find: Callable[[np.ndarray], np.ndarray]
    key: str

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return align.face(picture, self.find(picture))


@dataclass(frozen=True)
class LandmarkRun(StoredRun):
    """A trained landmark network on disk."""

    def network(self) -> Cnn6:
        """The network in evaluation mode, on the CPU."""
        network = Cnn6(self.record["training"]["channels"])
        network.load_state_dict(self.weights())
        return network.eval()

    def predict(self, pictures: Sequence[np.ndarray], boxes: np.ndarray, crop_scale: float = CROP_SCALE) -> np.ndarray:
        """The landmarks of one face in each picture, on a GPU where there is one.

        Parameters
        ----------
        pictures
            N arrays (h, w, 3) uint8 RGB.
        boxes
            (N, 3) as `boxes_of` has them, from a detector or the truth.
        crop_scale
            The side of the square that is looked at, in face widths.

        Returns
        -------
        (N, 5, 2) float64, in the pictures' pixels.
        """
        if len(pictures) != len(boxes) or np.shape(boxes)[1:] != (3,):
            raise DataError(f"{len(pictures)} pictures need boxes ({len(pictures)}, 3), not {np.shape(boxes)}")
        points_in, points = self._points_in(), np.empty((len(pictures), 5, 2))
        for start in range(0, len(pictures), BATCH):
            part = range(start, min(start + BATCH, len(pictures)))
            squares, matrices = zip(*(cut(pictures[i], boxes[i, :2], crop_scale * boxes[i, 2]) for i in part))
            points[start : part.stop] = in_pictures(points_in(np.stack(squares)), matrices)
        return points

    def aligner(self) -> align.Aligner:
        """A function from a picture that is one face, cut loosely or tightly, to the aligned face (112, 112, 3)."""
        return LandmarkAligner(self.finder(), self.key)

    def finder(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from a picture (h, w, 3) uint8 that is one face to its landmarks (5, 2)."""
        points_in = self._points_in()

        def landmarks(picture: np.ndarray) -> np.ndarray:
            height, width = picture.shape[:2]
            square, matrix = cut(picture, ((width - 1) / 2, (height - 1) / 2), max(height, width))
            return in_pictures(points_in(square[None]), [matrix])[0]

        return landmarks

    def _points_in(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from squares (N, 64, 64, 3) uint8 to the points in them (N, 5, 2) float64."""
        device = devices.device()
        network = self.network().to(device)

        @torch.inference_mode()
        def points(squares: np.ndarray) -> np.ndarray:
            return network(networks.to_input(torch.from_numpy(squares).to(device))).double().cpu().numpy()

        return points


def fit(
    recipe: str = "wing+lr",
    preset: str | Preset = "",
    seed: int = 0,
    faces: FacePack | None = None,
    progress: bool = True,
) -> LandmarkRun:
    """Find the landmark network that these arguments describe, or train it, on a GPU where there is one.

    Killed at any moment, the same call goes on from the last finished epoch.

    Parameters
    ----------
    recipe
        The name of one of `RECIPES`.
    preset, seed, progress
        As in `rifr.training.trainer.fit`.
    faces
        A pack of scenes with landmarks (`rifr.readers.wider_face` makes one of WIDER FACE); None takes the preset's
        rendered scenes of this seed.

    Raises
    ------
    SettingError
        For an unknown recipe or preset.
    DataError
        For a pack without landmarks.
    TrainingError
        When the loss is not finite.
    """
    preset = presets.get(preset)
    training = _training(recipe, preset)
    faces = datasets.to_learn(preset, seed, progress) if faces is None else faces
    if faces.landmarks is None:
        raise DataError("the pack has no landmarks to learn from: give rendered scenes, or WIDER FACE's")
    name, key = _name_and_key(recipe, preset, seed, faces)

    def make(path: Path) -> None:
        with parallel.threads(training.threads), torch.random.fork_rng(devices.generators(devices.device())):
            trainer = Trainer(training, faces, seed, f"landmarks {recipe}")
            reached = trainer.train(path, progress)
            record = {"recipe": recipe, "preset": preset.name, "seed": seed, "key": key}
            record |= {"training": asdict(training), "device": str(trainer.device)}
            reached.write_run(path, trainer.network.state_dict(), faces, record)

    return storage.found_or_made("landmarks", name, key, make, LandmarkRun.open)


def fit_all(
    names: Iterable[str] = tuple(RECIPES),
    preset: str | Preset = "",
    seed: int = 0,
    faces: FacePack | None = None,
    progress: bool = True,
) -> dict[str, LandmarkRun]:
    """The networks of several recipes by name, found, or trained side by side where that is worth the processes.

    Parameters
    ----------
    names
        Of `RECIPES`.
    preset, seed, faces, progress
        As for `fit`.
    """
    names = list(names)
    parallel.run(calls(names, preset, seed, faces, progress))
    return {name: fit(name, preset, seed, faces, progress) for name in names}


def calls(
    names: Iterable[str] = tuple(RECIPES),
    preset: str | Preset = "",
    seed: int = 0,
    faces: FacePack | None = None,
    progress: bool = True,
) -> list[Call]:
    """The trainings that `fit_all` still needs, with their pictures there; none where they are too short for processes.

    Of several processes that train one network none gets any: rank 0 would train them while the others wait.
    """
    preset = presets.get(preset)
    if process_group.size() > 1:
        return []
    faces = datasets.to_learn(preset, seed, progress) if faces is None else faces
    if len(faces) * preset.landmarks.epochs < trainer.MIN_IMAGES_FOR_SUBPROCESS:
        return []
    return [
        Call(__name__, "fit", {"recipe": name, "preset": preset, "seed": seed, "progress": progress}, faces)
        for name in names
        if not storage.place("landmarks", *_name_and_key(name, preset, seed, faces)).exists()
    ]


def _training(recipe: str, preset: Preset) -> LandmarkTraining:
    if recipe not in RECIPES:
        raise SettingError(f"no landmark network is called {recipe!r}: choose one of {', '.join(RECIPES)}")
    return replace(preset.landmarks, loss=RECIPES[recipe].loss, low=RECIPES[recipe].low)


def _name_and_key(recipe: str, preset: Preset, seed: int, faces: FacePack) -> tuple[str, str]:
    """A network's name, and the key of what makes it: of the preset, what its training uses."""
    import rifr.landmarks.training as this

    of_faces_and_tests = ("people", "images", "scene", "test_people", "test_images", "test_scene", "test_widths")
    training = {
        name: value for name, value in asdict(_training(recipe, preset)).items() if name not in of_faces_and_tests
    }
    sources = storage.sources_digest(this, cnn6, crops, align, similarity, camera, networks)
    points = hashlib.sha256(np.ascontiguousarray(faces.points).data).hexdigest()  # the checksum leaves them out
    key = storage.digest(recipe, training, seed, faces.checksum, points, torch.__version__, sources)
    return f"{recipe}-{preset.name}-s{seed}", key


class Trainer:
    """A landmark network under training, with what it learns from; each epoch cuts every face out anew.

    Parameters
    ----------
    training, faces, seed
        What is trained, on a pack with landmarks; of the weights and the views.
    name
        As the progress bar and messages call it.
    """

    def __init__(self, training: LandmarkTraining, faces: FacePack, seed: int, name: str):
        self.training, self.faces, self.seed, self.name = training, faces, seed, name
        assert faces.landmarks is not None
        self.device, self.landmarks, self.boxes = devices.device(), faces.landmarks, boxes_of(faces.landmarks)
        torch.manual_seed(seed)
        self.network = networks.channels_last(Cnn6(training.channels), self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), training.learning_rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, training.epochs)

    def train(self, path: Path, progress: bool = True) -> Progress:
        """Train to the end, from the last epoch that a training of `path` has finished."""
        state = {"network": self.network, "optimiser": self.optimiser, "schedule": self.schedule}
        reached = Progress(path, state)
        reached.resume(reached.read())
        while reached.epoch < self.training.epochs:
            with reached.timed():
                row = self.epoch(reached.epoch, progress)
            reached.finish(row)
            reached.write()
        return reached

    def epoch(self, number: int, progress: bool = True) -> dict[str, float]:
        """Train for one pass over the pictures; the learning rate and the mean loss."""
        draw = np.random.default_rng([self.seed, number])
        size = min(self.training.batch_size, len(self.faces))
        order = draw.permutation(len(self.faces))[: len(self.faces) // size * size].reshape(-1, size)
        bar = progress_bar(
            order,
            desc=f"{self.name} {number + 1}/{self.training.epochs}",
            unit_scale=size,
            unit="face",
            leave=False,
            show=progress,
            position=parallel.progress_bar_position(),
        )
        self.network.train()
        total, learning_rate = 0.0, float(self.schedule.get_last_lr()[0])
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for step, which in enumerate(bar):
                views = [View.draw(self.training, draw) for _ in which]
                squares, points = zip(*pool.map(self._shown, which, views))
                loss = self.step(np.stack(squares), np.stack(points))
                if not math.isfinite(loss):
                    kept = "; the last finished epoch is kept" if number else ""
                    raise TrainingError(
                        f"{self.name}: the loss is {loss} at step {step + 1} of epoch {number + 1}: try a lower "
                        f"learning_rate{kept}"
                    )
                total += loss
        self.schedule.step()
        return {"learning_rate": learning_rate, "loss": total / len(order)}

    def step(self, squares: np.ndarray, points: np.ndarray) -> float:
        """Move down the loss of squares (n, 64, 64, 3) uint8 and the true points in them (n, 5, 2); returns it.

        L = mean of wing(x) or of x^2 over all coordinates,   x = point found - true point, in pixels of the square
        """
        found = self.network(networks.to_input(torch.from_numpy(squares).to(self.device)))
        target = torch.from_numpy(points).float().to(self.device)
        loss = wing_loss(found, target) if self.training.loss == "wing" else nn.functional.mse_loss(found, target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def _shown(self, photo: int, view: View) -> tuple[np.ndarray, np.ndarray]:
        return view.of(self.faces.images[photo], self.landmarks[photo], self.boxes[photo])
