"""Five landmarks on faces of any resolution: CNN-6 trained with the Wing loss (Feng et al., 2018), as section III has it.

    run = landmarks.fit("mini")                  # finds or trains
    points = run.predict(pictures, boxes)        # (N, 5, 2) in the pictures' pixels
    aligned = run.aligner()(small_crop)          # (112, 112, 3), for sets that come unaligned

A face is cut out of its picture loosely: an upright square whose side is a multiple of the *face width*, the side of the
aligned 112x112 face in the picture's pixels. The network sees the square as 64x64 and answers with points in it. The
paper's idea for small faces is in what it is shown: some of the squares were brought down to few pixels first, half of
these as a camera does it (`rifr.camera`), for the paper's WIDER FACE holds small faces of that kind.
"""

from __future__ import annotations

import datetime
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

import rifr
from rifr import align, camera, presets, side_by_side, splits, storage
from rifr import faces as rendered
from rifr.landmarks import cnn6, crops
from rifr.landmarks.cnn6 import Cnn6, to_input, wing_loss
from rifr.landmarks.crops import View, boxes_of, cut, in_pictures
from rifr.packs import FacePack
from rifr.presets import LandmarkTraining, Preset
from rifr.readers import wider_face
from rifr.side_by_side import Call
from rifr.training import trainer

BATCH = 256  # faces at a time when predicting

RECIPES = {
    "wing+lr": "Wing loss, faces of all resolutions",
    "l2+lr": "L2 loss, faces of all resolutions",
    "wing-hr": "Wing loss, large faces only",
}
"""The networks of chapter 6: `wing+lr` is the paper's, each of the others takes one thing away."""


@dataclass(frozen=True)
class LandmarkRun:
    """A trained landmark network on disk; `record` is its provenance."""

    path: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> LandmarkRun:
        """Open a stored network; FileNotFoundError where there is none, ValueError for a damaged record."""
        path = Path(path)
        try:
            return cls(path, json.loads((path / "record.json").read_text()))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} holds no landmark network: train one with rifr.landmarks.fit") from None
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path / 'record.json'} is damaged ({error}): delete the folder and train again"
            ) from error

    @property
    def key(self) -> str:
        """What made it: with it, stored things that it made are found again."""
        return self.record["key"]

    def network(self) -> Cnn6:
        """The network in evaluation mode, on the CPU."""
        network = Cnn6(self.record["training"]["channels"])
        network.load_state_dict(load_file(self.path / "weights.safetensors"))
        return network.eval()

    def predict(self, pictures: Sequence[np.ndarray], boxes: np.ndarray, loose: float = 1.4) -> np.ndarray:
        """The landmarks of one face in each picture, (N, 5, 2) float64 in its pixels.

        pictures: N arrays (h, w, 3) uint8 RGB; boxes: (N, 3) as `boxes_of` has them, from a detector or the truth;
        loose: the side of the square that is looked at, in face widths.
        """
        if len(pictures) != len(boxes) or np.shape(boxes)[1:] != (3,):
            raise ValueError(f"{len(pictures)} pictures need boxes ({len(pictures)}, 3), not {np.shape(boxes)}")
        network, found = self.network(), np.empty((len(pictures), 5, 2))
        for start in range(0, len(pictures), BATCH):
            part = range(start, min(start + BATCH, len(pictures)))
            squares, matrices = zip(*(cut(pictures[i], boxes[i, :2], loose * boxes[i, 2]) for i in part))
            found[start : part.stop] = in_pictures(_points(network, np.stack(squares)), matrices)
        return found

    def aligner(self) -> align.Aligner:
        """A function from a picture that is one face, cut loosely or tightly, to the aligned face (112, 112, 3)."""
        find = self.finder()

        def aligned(picture: np.ndarray) -> np.ndarray:
            return align.face(picture, find(picture))

        aligned.key = self.key  # what its packs are found by
        return aligned

    def finder(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from a picture (h, w, 3) uint8 that is one face to its landmarks (5, 2)."""
        network = self.network()

        def landmarks(picture: np.ndarray) -> np.ndarray:
            height, width = picture.shape[:2]
            square, matrix = cut(picture, ((width - 1) / 2, (height - 1) / 2), max(height, width))
            return in_pictures(_points(network, square[None]), [matrix])[0]

        return landmarks


def fit(
    preset: str | Preset = "",
    seed: int = 0,
    recipe: str = "wing+lr",
    faces: FacePack | None = None,
    progress: bool = True,
) -> LandmarkRun:
    """Find the landmark network that these arguments describe, or train it.

    recipe: one of `RECIPES`; faces: a pack of scenes with landmarks (`rifr.readers.wider_face` makes one of WIDER FACE);
    None takes the preset's rendered scenes. Killed at any moment, the same call goes on from the last finished epoch.

    Raises ValueError for an unknown recipe and for a pack without landmarks, FloatingPointError for a loss that is not
    finite.
    """
    if recipe not in RECIPES:
        raise ValueError(f"no landmark network is called {recipe!r}: choose one of {', '.join(RECIPES)}")
    preset = presets.get(preset)
    training = _training(preset, recipe)
    if faces is None:
        faces = scenes("landmarks", training.people, training.images, training.scene, seed, progress)
    if faces.landmarks is None:
        raise ValueError("the pack has no landmarks to learn from: give rendered scenes, or WIDER FACE's")
    path, key = _place(preset, seed, recipe, faces)
    with storage.lock(path):
        if not (path / "record.json").exists():
            with side_by_side.threads(training.threads):
                _train(path, key, recipe, training, seed, faces, progress)
        else:  # killed in the moment between the run and the end of its checkpoint
            storage.checkpoint_path(path).unlink(missing_ok=True)
    return LandmarkRun.open(path)


def _training(preset: Preset, recipe: str) -> LandmarkTraining:
    if recipe not in RECIPES:
        raise ValueError(f"no landmark network is called {recipe!r}: choose one of {', '.join(RECIPES)}")
    return replace(preset.landmarks, loss=recipe[:-3], low=recipe.endswith("+lr"))


def _place(preset: Preset, seed: int, recipe: str, faces: FacePack) -> tuple[Path, str]:
    """Where the network lies, and the key of what makes it."""
    import rifr.landmarks.training as this

    key = storage.digest(
        recipe,
        _training(preset, recipe),
        seed,
        faces.checksum,
        torch.__version__,
        storage.sources_digest(this, cnn6, crops, align, camera),
    )
    return storage.root() / "landmarks" / f"{recipe}-{preset.name}-s{seed}-{key[:12]}", key


def fit_all(
    preset: str | Preset = "",
    seed: int = 0,
    names: Sequence[str] = tuple(RECIPES),
    faces: FacePack | None = None,
    progress: bool = True,
) -> dict[str, LandmarkRun]:
    """The networks of several recipes by name, found, or trained side by side where that is worth starting processes."""
    side_by_side.run(calls(preset, seed, names, faces, progress))
    return {name: fit(preset, seed, name, faces, progress) for name in names}


def calls(
    preset: str | Preset = "",
    seed: int = 0,
    names: Sequence[str] = tuple(RECIPES),
    faces: FacePack | None = None,
    progress: bool = True,
) -> list[Call]:
    """The trainings that `fit_all` still needs, with their pictures there; none where they are too short for processes."""
    preset = presets.get(preset)
    training = preset.landmarks
    if faces is None:
        faces = scenes("landmarks", training.people, training.images, training.scene, seed, progress)
    if len(faces) * training.epochs < trainer.WORTH_A_PROCESS:
        return []
    return [
        Call("rifr.landmarks", "fit", {"preset": preset, "seed": seed, "recipe": name, "progress": progress}, faces)
        for name in names
        if not (_place(preset, seed, name, faces)[0] / "record.json").exists()
    ]


def scenes(split: str, people: int, images: int, side: int, seed: int = 0, progress: bool = True) -> FacePack:
    """Rendered pictures with a face loose in each, `side` pixels wide, found in the store or rendered."""
    return splits.rendered_pack(rendered.RenderSpec(split, people, images, seed=seed, size=side, scenes=True), progress)


def pictures(
    preset: str | Preset = "", seed: int = 0, wider_root: str | Path = "", progress: bool = True
) -> tuple[FacePack, FacePack]:
    """What landmark networks learn from, and what they are measured on: scenes with landmarks, of other people.

    By default rendered; with `wider_root`, WIDER FACE's train split, of which a tenth of the photos is held out.
    """
    preset = presets.get(preset)
    if not wider_root:
        size = preset.landmarks
        return scenes("landmarks", size.people, size.images, size.scene, seed, progress), held_out_scenes(
            preset, seed, progress
        )
    key = storage.digest(
        str(Path(wider_root).resolve()), preset.landmarks.test_scene, storage.sources_digest(wider_face)
    )
    packs = []
    for part in ("most", "held out"):
        path = storage.root() / "packs" / f"wider-{part.replace(' ', '-')}-{key[:12]}"
        with storage.lock(path):
            if not path.exists():
                wider_face.read(wider_root, path, side=preset.landmarks.test_scene, part=part, progress=progress)
        packs.append(FacePack.open(path))
    return packs[0], packs[1]


def held_out_scenes(preset: str | Preset = "", seed: int = 0, progress: bool = True) -> FacePack:
    """The rendered pictures that chapter 6 measures on: other people than those of any training set."""
    size = presets.get(preset).landmarks
    return scenes("landmark-test", size.test_people, size.test_images, size.test_scene, seed, progress)


def _train(
    path: Path, key: str, recipe: str, training: LandmarkTraining, seed: int, faces: FacePack, progress: bool
) -> None:
    torch.manual_seed(seed)
    network = Cnn6(training.channels).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), training.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.epochs)
    checkpoint = storage.checkpoint_path(path)
    state: dict[str, Any] = {"epoch": 0, "history": [], "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        for name, part in {"network": network, "optimiser": optimiser, "schedule": schedule}.items():
            part.load_state_dict(saved[name])
        state = {name: saved[name] for name in state}
    boxes = boxes_of(faces.landmarks)
    for epoch in range(state["epoch"], training.epochs):
        began = time.perf_counter()
        loss = _epoch(epoch, recipe, training, seed, faces, boxes, network, optimiser, progress)
        schedule.step()
        state["epoch"], state["seconds"] = epoch + 1, state["seconds"] + time.perf_counter() - began
        state["history"].append({"epoch": epoch + 1, "loss": loss})
        storage.atomic_write(
            checkpoint,
            lambda file: torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    **state,
                },
                file,
            ),
        )
    with storage.atomic_directory(path) as folder:
        save_file(
            {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
        )
        record = {
            "recipe": recipe,
            "seed": seed,
            "key": key,
            "training": asdict(training),
            "history": state["history"],
            "faces": {
                name: faces.manifest[name] for name in ("source", "licence", "spec", "images", "people", "checksum")
            },
            "seconds": round(state["seconds"], 1),
            "rifr": rifr.__version__,
            "torch": torch.__version__,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        storage.atomic_write(folder / "record.json", storage.readable_json(record))
    checkpoint.unlink(missing_ok=True)


def _epoch(
    epoch: int,
    recipe: str,
    training: LandmarkTraining,
    seed: int,
    faces: FacePack,
    boxes: np.ndarray,
    network: Cnn6,
    optimiser: torch.optim.Optimizer,
    progress: bool,
) -> float:
    """Train for one pass over the pictures, each cut anew; returns the mean loss."""
    draw = np.random.default_rng([seed, epoch])
    size = min(training.batch_size, len(faces))
    order = draw.permutation(len(faces))[: len(faces) // size * size].reshape(-1, size)
    network.train()
    total = 0.0
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        bar = tqdm(
            order,
            desc=f"landmarks {recipe} {epoch + 1}/{training.epochs}",
            unit_scale=size,
            unit="face",
            leave=False,
            disable=None if progress else True,
            position=side_by_side.line(),
        )
        for step, which in enumerate(bar):
            views = [View.draw(training, draw) for _ in which]
            shown = pool.map(lambda i, view: view.of(faces.images[i], faces.landmarks[i], boxes[i]), which, views)
            squares, points = (np.stack(arrays) for arrays in zip(*shown))
            found, target = network(to_input(squares)), torch.from_numpy(points).float()
            loss = wing_loss(found, target) if training.loss == "wing" else nn.functional.mse_loss(found, target)
            optimiser.zero_grad()
            loss.backward()
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"landmarks {recipe}: the loss is {value} at step {step + 1} of epoch "
                    f"{epoch + 1}: try a lower learning_rate; the last finished epoch is kept"
                )
            optimiser.step()
            total += value
    return total / len(order)


def _points(network: Cnn6, squares: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(to_input(squares)).double().numpy()
