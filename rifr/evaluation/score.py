"""Score any embedder: your folders in, a tidy table with intervals and its provenance out.

    score = scoring.score("model.onnx", "my_probes", "my_distractors", measures=("rank1", "roc"), widths=(112, 30, 16))
    print(score)                        # a rifr.evaluation.scorecard.Score
    score.save("evaluate.json")

What is measured, at each face width, under P1 (all photos at the width) and P2 (the probe alone):

    rank1      share of trials identified at rank 1 among the distractors
    cmc        the same at ranks 1, 2, ...
    roc        verification: true positive rate at a false positive rate (FPR)
    open-set   watch list: false negative identification rate (FNIR) at a false positive one (FPIR)
    pairs      accuracy on a list of pairs over ten folds, as LFW has it (`pairs=`)
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import rifr
from rifr import presets, splits, storage
from rifr.errors import SettingError
from rifr.evaluation import embed, evaluate
from rifr.evaluation.evaluate import HIGH, PROTOCOLS, Embedder
from rifr.evaluation.protocols import pairs as pairs_protocol
from rifr.evaluation.scorecard import COLUMNS, Score
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import pairs as pair_list
from rifr.training.runs import Run

__all__ = ["MEASURES", "named", "score"]

MEASURES = ("rank1", "cmc", "roc", "open-set")


def score(
    embedders: Embedder | Sequence[Embedder] | Mapping[str, Embedder],
    probes: FacePack | str | Path = "",
    distractors: FacePack | str | Path = "",
    *,
    pairs: str | Path = "",
    images: str | Path = "",
    folds: int = 0,
    on_missing: str = "refuse",
    protocols: Iterable[str] = tuple(PROTOCOLS),
    measures: Iterable[str] = ("rank1",),
    widths: Sequence[int] | None = None,
    ranks: int = 20,
    fprs: Sequence[float] = (1e-3, 1e-4),
    fpirs: Sequence[float] = (1e-2, 1e-3),
    preset: str | Preset = "",
    progress: bool = True,
) -> Score:
    """Measure embedders side by side on the same faces.

    embedders: one or several, or by name: ONNX files (a path, or `embed.Onnx` with options), stored runs, functions
        (N, 112, 112, 3) uint8 -> (N, D). The features of files and runs are stored, those of functions are not.
    probes, distractors: packs, or folders that hold a folder per person of aligned 112x112 images: probe people have at
        least two, and of each distractor the first is taken. Probe people are left out of the distractors. Whom and
        what is left out is named, in the provenance and in `Score.faces()`.
    pairs: an InsightFace .bin file, or a list as LFW's pairs.txt with `images`, the folder of the people's folders;
        folds: into how many parts it is divided (default: what its first line says); on_missing: "refuse", or
        "leave out" the pairs of which a photo is missing, and name them.
    protocols: "P1", "P2"; measures: of MEASURES; widths: in pixels (default: the preset's); ranks: depth of the CMC;
    fprs, fpirs: the rates to read the curves at. A rate that so few impostors cannot resolve gives no value.

    Raises SettingError, with what to do, for what does not fit; before anything is embedded where that can be known.
    """
    embedders = named(embedders)
    protocols, measures = _chosen("protocol", protocols, tuple(PROTOCOLS)), _chosen("measure", measures, MEASURES)
    preset = presets.get(preset, widths=None if widths is None else tuple(dict.fromkeys(widths)))
    fprs, fpirs = _rates("FPR", fprs), _rates("FPIR", fpirs)
    if not isinstance(ranks, int) or ranks < 1:
        raise SettingError(f"ranks is a whole number from 1, not {ranks!r}")
    if bool(probes) != bool(distractors):
        raise SettingError("probes and distractors belong together: give both or none")
    if not probes and not pairs:
        raise SettingError("nothing to score on: give probes and distractors, or pairs")
    for one in embedders.values():
        if isinstance(one, embed.Onnx):
            one.embedder()  # a file that does not fit is said now, not when all faces are read
    provenance = _made_by(embedders, preset)
    tables, curves = [], {}
    listed = pair_list.read(pairs, images, on_missing) if pairs else None
    if probes:
        found = splits.probe_splits(probes, distractors, progress)
        faces = found.probes, found.distractors
        provenance |= {
            "probes": _described(found.probes),
            "distractors": {**_described(found.distractors), "excluded": list(found.excluded)},
            "people compared": found.comparison,
            "left out": [dataclasses.asdict(entry) for entry in found.left_out],
        }
        for found, drawn in _measured(embedders, faces, measures, preset, ranks, fprs, fpirs, progress):
            tables.append(found[found.protocol.isin(protocols)])
            curves |= {key: curve for key, curve in drawn.items() if key[0] in protocols}
    if listed:
        provenance["pairs"] = {
            "source": listed.photos.manifest["source"],
            "checksum": listed.photos.checksum,
            "images": len(listed.photos),
            "pairs": len(listed.same),
            "same": int(listed.same.sum()),
            "folds": folds or listed.folds,
            "left out": list(listed.left_out),
        }
        tables.append(_over_pairs(embedders, listed, folds or listed.folds, protocols, preset, progress))
    return Score(pd.concat(tables, ignore_index=True).reindex(columns=COLUMNS), provenance, curves)


def named(embedders: Embedder | Sequence[Embedder] | Mapping[str, Embedder]) -> dict[str, Embedder]:
    """Embedders by name (of the file, the recipe or the function); paths become `embed.Onnx`, files are checked."""
    if isinstance(embedders, Mapping):
        pairs = list(embedders.items())
    else:
        several = embedders if isinstance(embedders, (list, tuple)) else [embedders]
        pairs = [("", one) for one in several]
    pairs = [(name, embed.Onnx(one) if isinstance(one, (str, Path)) else one) for name, one in pairs]
    stems = [one.name for _, one in pairs if isinstance(one, embed.Onnx)]
    found: dict[str, Embedder] = {}
    for name, one in pairs:
        if isinstance(one, embed.Onnx) and not name:
            name = one.name if stems.count(one.name) == 1 else f"{one.path.parent.name}/{one.name}"
        name = name or getattr(one, "name", "") or getattr(one, "__name__", type(one).__name__)
        if name in found:
            raise SettingError(
                f"two embedders are called {name!r}: give them as a dictionary by name, or rename a file"
            )
        found[name] = one
    if not found:
        raise SettingError("there is no embedder: give an ONNX file, a stored run or a function")
    return found


def _chosen(kind: str, asked: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    asked = [asked] if isinstance(asked, str) else list(asked)
    known = {name.lower(): name for name in allowed}
    wrong = [name for name in asked if str(name).lower() not in known]
    if wrong or not asked:
        found = f"no {kind} is called {wrong[0]!r}" if wrong else f"no {kind} was chosen"
        raise SettingError(f"{found}: choose of {', '.join(allowed)}")
    return list(dict.fromkeys(known[name.lower()] for name in asked))


def _rates(name: str, asked: Sequence[float]) -> tuple[float, ...]:
    wrong = [rate for rate in asked if not 0 < rate <= 1]
    if wrong or not len(asked):
        raise SettingError(f"a {name} is a share above 0 and at most 1, such as 0.001: found {wrong or 'none'}")
    return tuple(asked)


def _measured(
    embedders: dict[str, Embedder],
    faces: tuple[FacePack, FacePack],
    measures: list[str],
    preset: Preset,
    ranks: int,
    fprs: Sequence[float],
    fpirs: Sequence[float],
    progress: bool,
):
    """For each measure, its rows of the table, and its curves where it is the ROC."""
    keys = ["protocol", "network", "width"]
    outcome = None
    if {"rank1", "cmc"} & set(measures):
        outcome = evaluate.identify(
            embedders, faces, preset, progress=progress, ranks=ranks if "cmc" in measures else 1
        )
        rank1 = outcome.table().assign(measure="rank1", at=1, impostors=len(faces[1]))
    for measure in measures:
        if measure == "rank1":
            yield rank1.rename(columns={"rank1": "value"}), {}
        elif measure == "cmc":
            whole = outcome.cmc().merge(rank1[[*keys, "people", "trials", "impostors"]], on=keys)
            yield whole.rename(columns={"rank": "at", "rate": "value"}).assign(measure="cmc"), {}
        elif measure == "roc":
            found = evaluate.verify(embedders, faces, preset, progress=progress)
            table = found.table(fprs).assign(measure="roc")
            drawn = {key: found.curve(*key) for key in table[keys].drop_duplicates().itertuples(index=False, name=None)}
            names = {"fpr": "at", "tpr": "value", "genuine": "trials", "impostor": "impostors"}
            yield table.rename(columns=names), drawn
        else:
            table = evaluate.watch(embedders, faces, preset, progress=progress).table(fpirs)
            names = {"fpir": "at", "fnir": "value", "enrolled": "people", "mated": "trials", "unknown": "impostors"}
            yield table.rename(columns=names).assign(measure="open-set"), {}


def _over_pairs(
    embedders: dict[str, Embedder],
    listed: pair_list.PairList,
    folds: int,
    protocols: list[str],
    preset: Preset,
    progress: bool,
) -> pd.DataFrame:
    """Accuracy on a list of pairs: under P1 both photos are at the width, under P2 the first of each pair alone."""
    rows = []
    for name, one in embedders.items():
        at = {
            width: evaluate.features(one, listed.photos, width, preset.mirror, progress)
            for width in sorted({HIGH, *preset.widths})
        }
        for width in preset.widths:
            for protocol in protocols:
                second = at[width if protocol == "P1" else HIGH][listed.second]
                found = pairs_protocol.evaluate(at[width][listed.first], second, listed.same, folds)
                sure = found.interval()
                rows.append(
                    {
                        "protocol": protocol,
                        "network": name,
                        "width": width,
                        "measure": "pairs",
                        "value": 100 * found.accuracy,
                        "low": 100 * sure.low,
                        "high": 100 * sure.high,
                        "trials": len(listed.same),
                        "std": 100 * found.std,
                    }
                )
    return pd.DataFrame(rows)


def _made_by(embedders: dict[str, Embedder], preset: Preset) -> dict[str, Any]:
    """Versions, embedders and how intervals are made: nothing that names a folder of this machine."""
    made = {}
    for name, one in embedders.items():
        if isinstance(one, embed.Onnx):
            options = {key: getattr(one, key) for key in ("layout", "channels", "mean", "scale", "size")}
            made[name] = {"file": one.path.name, "sha256": storage.file_digest(one.path), **_weights(one), **options}
        elif isinstance(one, Run):
            made[name] = {"recipe": one.recipe.name, "preset": one.preset, "seed": one.seed, "key": one.key}
        else:
            made[name] = {"function": getattr(one, "__qualname__", type(one).__name__)}
    libraries = ("numpy", "torch", "onnxruntime", "opencv-python-headless")
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "embedders": made,
        "mirror": preset.mirror,
        "intervals": {"level": 0.95, "bootstrap over": "people", "resamples": preset.resamples, "seed": 0},
        "versions": {
            "rifr": rifr.__version__,
            "python": platform.python_version(),
            **{library: version(library) for library in libraries},
        },
    }


def _described(pack: FacePack) -> dict[str, Any]:
    return {
        "source": pack.manifest.get("source", ""),
        "checksum": pack.checksum,
        "images": len(pack),
        "people": len(pack.people),
    }


def _weights(network: embed.Onnx) -> dict[str, dict[str, str]]:
    """The SHA-256 of each file beside the graph that holds its weights; nothing where the graph holds them itself."""
    checksums = {name: checksum for name, checksum in network.checksums().items() if name != network.path.name}
    return {"weights_sha256": checksums} if checksums else {}
