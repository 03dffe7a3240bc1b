"""Every usual way of giving a network its photos, tried on the same pairs: what each costs, and the likeliest mistake.

Two rounds. First channel order and scaling, each and both at once; then, on the pixels that came out of it, photos that
are enlarged, shrunk or moved, and mirror images. Each setting is compared with the declared one, pair by pair. Whoever
tries many settings finds a better one by chance: a mistake is named only where the interval of its gain excludes zero
at a level that holds for all of them together (Bonferroni). Of settings that the pairs do not tell apart, the one with
the fewest changes is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from rifr import storage
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.degrade import check_width
from rifr.doctor import pairs as face_pairs
from rifr.doctor.pairs import FacePairs
from rifr.doctor.settings import Reads, Setting, moved, pixel_settings, placement_settings
from rifr.errors import DataError
from rifr.evaluation.features import features
from rifr.evaluation.metrics import Interval, percentile_interval
from rifr.evaluation.onnx import Onnx
from rifr.evaluation.scorecard import described, made_now
from rifr.packs import FacePack
from rifr.readers.folder import open_pack

__all__ = ["Examination", "Remedy", "examine"]

EASY = 0.99
"""An accuracy above which pairs leave no room to tell settings apart."""


@dataclass(frozen=True)
class Remedy:
    """A change that does better than what was declared.

    Attributes
    ----------
    setting
        What it is.
    about
        In what it differs: of "channels", "scaling", "placement" and "mirror".
    before, after
        The accuracies that are compared, as shares.
    gain
        Their difference, with its interval at the level for all settings together.
    """

    setting: Setting
    about: tuple[str, ...]
    before: float
    after: float
    gain: Interval


@dataclass(frozen=True)
class Examination:
    """What was tried, what came of it, and what made it.

    Attributes
    ----------
    table
        A row per setting, the declared one first: `round` ("declared", "pixels", "photos"), `setting` in words,
        `channels`, `scaling`, `placement`, `mirror`; `accuracy` in per cent with `low` and `high`, 95 % over people;
        `difference` from the declared one in points, paired, with `difference_low` and `difference_high`; `failed`: why
        there is none.
    declared
        The declared setting.
    remedies
        What does decidedly better: pixels, then photos. The one with the larger gain is the likeliest mistake.
    alike
        Other settings of the pixels, in words, that the pairs do not tell from the remedy's.
    level
        Of the remedies' intervals, all settings together at 95 %.
    pairs
        On what it was measured.
    provenance
        Versions, checksums and numbers.
    """

    table: pd.DataFrame
    declared: Setting
    remedies: tuple[Remedy, ...]
    alike: tuple[str, ...]
    level: float
    pairs: FacePairs
    provenance: dict[str, Any] = field(repr=False)

    @property
    def likeliest(self) -> Remedy | None:
        """The mistake that costs most; None where no setting does decidedly better than the declared one."""
        return max(self.remedies, key=lambda remedy: remedy.gain.estimate, default=None)

    def save(self, path: str | Path) -> None:
        """Write all of it as .json: {"provenance": ..., "likeliest": ..., "results": [a record a row]}."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        remedies = [
            {
                "setting": remedy.setting.said(self.declared),
                "about": list(remedy.about),
                "gain": remedy.gain.row("points"),
                "level": self.level,
            }
            for remedy in sorted(self.remedies, key=lambda remedy: -remedy.gain.estimate)
        ]
        content = {"provenance": self.provenance, "mistakes": remedies, "results": rows}
        storage.atomic_write(Path(path), storage.readable_json(content))


def examine(
    embedder: Reads | str | Path,
    images: FacePack | str | Path,
    *,
    mirror: bool = True,
    width: int = FACE_SIZE,
    people: int = 200,
    photos: int = 4,
    seed: int = 0,
    resamples: int = 10_000,
    progress: bool = True,
) -> Examination:
    """Try the usual ways of giving a network its photos on genuine and impostor pairs of a reader's own.

    Parameters
    ----------
    embedder
        An ONNX file with what is said of it (`rifr.evaluation.onnx.Onnx`), its path alone, or a `PixelRun`.
    images
        A pack, or a folder that holds a folder per person of aligned 112x112 photos.
    mirror
        Whether the features of the mirror image are added, as declared.
    width
        Face width in pixels at which all photos are compared.
    people, photos
        At most so many people, and photos of each: every setting embeds all of them.
    seed, resamples
        Of the pairs and of the bootstrap over people.
    progress
        Show progress bars.

    Raises
    ------
    DataError
        For fewer than four people with two photos, and for a network that cannot be run as declared.
    SettingError
        For numbers out of range.
    """
    network: Reads = Onnx(Path(embedder)) if isinstance(embedder, (str, Path)) else embedder
    width = check_width(width)
    network.embedder()  # a file that does not fit is said now, not when all photos are read
    pack = images if isinstance(images, FacePack) else open_pack(images, progress)
    drawn = face_pairs.draw(pack.identities, people, photos, seed)
    used = pack.take(drawn.photos)
    declared = Setting.declared(network, mirror)
    trial = _Trial(network, used, drawn, width, resamples, seed)
    first, second = pixel_settings(declared), placement_settings(declared)
    level = 1 - 0.05 / (len(first) + len(second))
    with progress_bar(total=1 + len(first) + len(second), desc="settings", show=progress) as bar:
        trial.run("declared", [declared], bar)
        trial.run("pixels", first, bar)
        better, alike = trial.best(declared, first, level, "pixels")
        base = better.setting if better else declared
        second = placement_settings(base)
        trial.run("photos", second, bar)
    placed, _ = trial.best(base, second, level, "photos")
    remedies = tuple(remedy for remedy in (better, placed) if remedy)
    provenance = _made_by(network, pack, drawn, width, mirror, seed, resamples)
    return Examination(trial.table(declared), declared, remedies, alike, level, drawn, provenance)


class _Trial:
    """The settings that were run, in order: which pairs each got right, or why it could not be run."""

    def __init__(self, network: Reads, pack: FacePack, drawn: FacePairs, width: int, resamples: int, seed: int):
        self.network, self.pack, self.pairs, self.width = network, pack, drawn, width
        self.resamples, self.seed = resamples, seed
        self.rounds: dict[Setting, str] = {}
        self.right: dict[Setting, np.ndarray] = {}
        self.failed: dict[Setting, str] = {}
        self.drawn: dict[Setting, np.ndarray] = {}

    def run(self, name: str, settings: Sequence[Setting], bar: tqdm) -> None:
        """Decide all pairs under each setting. One that gives no usable features is noted; the declared one is not."""
        for setting in settings:
            self.rounds[setting] = name
            pack = moved(self.pack, setting.placement)
            try:
                # Not finite: half precision overflows where grey levels are not scaled.
                found = features(setting.embedder(self.network), pack, self.width, setting.mirror, progress=False)
                self.right[setting] = self.pairs.decided(np.asarray(found)).right
            except DataError as error:
                if name == "declared":
                    raise
                self.failed[setting] = str(error)
            bar.update()
        new = [setting for setting in settings if setting in self.right]
        if new:
            right = np.stack([self.right[setting] for setting in new])
            self.drawn |= zip(new, self.pairs.resampled(right, self.resamples, self.seed), strict=True)

    def gain(self, setting: Setting, base: Setting, level: float = 0.95) -> Interval:
        """The accuracy of one setting minus that of another, in the same resamples."""
        estimate = self.accuracy(setting) - self.accuracy(base)
        return percentile_interval(self.drawn[setting] - self.drawn[base], estimate, level)

    def accuracy(self, setting: Setting) -> float:
        return self.pairs.accuracy(self.right[setting])

    def best(
        self, base: Setting, settings: Sequence[Setting], level: float, name: str
    ) -> tuple[Remedy | None, tuple[str, ...]]:
        """What does decidedly better than `base`, and which others the pairs do not tell from it."""
        run = [setting for setting in settings if setting in self.right]
        gains = {setting: self.gain(setting, base, level) for setting in run}
        better = [setting for setting in run if gains[setting].sign > 0]
        if not better:
            return None, ()
        top = max(better, key=self.accuracy)
        equal = [one for one in better if one is top or self.gain(top, one, level).sign == 0]
        chosen = min(equal, key=lambda one: (len(one.changes(base)), -self.accuracy(one)))
        remedy = Remedy(chosen, chosen.changes(base), self.accuracy(base), self.accuracy(chosen), gains[chosen])
        return remedy, tuple(one.said(base) for one in equal if one is not chosen)

    def table(self, declared: Setting) -> pd.DataFrame:
        """A row per setting, as `Examination.table` has them."""
        rows = []
        for setting, name in self.rounds.items():
            row: dict[str, Any] = {"round": name, "setting": setting.said(declared), "channels": setting.channels}
            row |= {"scaling": setting.scaling, "placement": setting.placement, "mirror": setting.mirror}
            if setting in self.right:
                drawn, people = self.drawn[setting], self.pairs.persons
                row |= percentile_interval(drawn, self.accuracy(setting), people=people).row("accuracy")
                row |= self.gain(setting, declared).row("difference", "difference_")
            rows.append(row | {"failed": self.failed.get(setting, "")})
        return pd.DataFrame(rows)


def _made_by(
    network: Reads, pack: FacePack, drawn: FacePairs, width: int, mirror: bool, seed: int, resamples: int
) -> dict[str, Any]:
    """Versions, the network, the faces and how the intervals were made."""
    about: dict[str, Any] = {"name": network.name, "key": network.key}
    if isinstance(network, Onnx):
        about = {"file": network.path.name, "sha256": network.checksums(), "layout": network.layout}
        about["size"] = network.size
    about |= {"channels": network.channels, "mean": network.mean, "scale": network.scale, "mirror": mirror}
    spec = pack.manifest.get("spec") or {}
    return {
        "declared": about,
        "width": width,
        "faces": {**described(pack), "skipped": list(spec.get("skipped_files", ()))},
        "pairs": {
            "people": drawn.persons,
            "photos": len(drawn.photos),
            "genuine": int(drawn.same.sum()),
            "impostor": int((~drawn.same).sum()),
            "folds": drawn.folds,
            "seed": seed,
            "people with one photo, left out": list(drawn.left_out),
        },
        **made_now(resamples, seed),
    }
