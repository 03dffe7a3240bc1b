"""Any embedder scored on your own faces: a tidy table with intervals, and what made it.

result = rifr.score("model.onnx", "my_probes", "my_distractors", measures=("rank1", "roc"), widths=(112, 30, 16))
print(result)
result.save("results.json")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rifr import presets, splits
from rifr.align import FACE_SIZE
from rifr.errors import SettingError
from rifr.evaluation import evaluate
from rifr.evaluation.embed import Embedder
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.features import features
from rifr.evaluation.onnx import Onnx
from rifr.evaluation.protocols import pairs as pairs_protocol
from rifr.evaluation.protocols import verification
from rifr.evaluation.scorecard import COLUMNS, Curves, Score, described, made_now
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import pairs as pair_list
from rifr.splits import LeftOut, ProbeSplits
from rifr.training.runs import Run

__all__ = ["MEASURES", "Asked", "check", "named", "score"]

OF_RUNS = ("recipe", "preset", "seed", "key", "training", "faces")
"""What a provenance has of a stored run's record."""
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
    widths: int | Sequence[int] | None = None,
    ranks: int = 20,
    fprs: Sequence[float] = (1e-3, 1e-4),
    fpirs: Sequence[float] = (1e-2, 1e-3),
    preset: str | Preset = "",
    left_out: Iterable[LeftOut] = (),
    progress: bool = True,
) -> Score:
    """Measure embedders side by side on the same faces, under P1 (all photos small) and P2 (the probe alone).

    Parameters
    ----------
    embedders : str, Path, Onnx, Run, callable, or several as a list or a dict by name
        ONNX files (a path, or `embed.Onnx` with options), stored runs, functions (N, 112, 112, 3) uint8 -> (N, D). The
        features of files and runs are stored, those of functions are not.
    probes, distractors : FacePack, str or Path, optional
        Packs, or folders that hold a folder per person of aligned 112x112 images. Probe people have at least two; of
        each distractor the first is taken. Probe people are left out of the distractors.
    pairs : str or Path, optional
        An InsightFace .bin file, or a list as LFW's pairs.txt with `images`, the folder of the people's folders.
    images : str or Path, optional
        The photos of a list of pairs.
    folds : int, optional
        Into how many parts the pairs are divided; by default those of the list, also where pairs of it are left out.
    on_missing : {"refuse", "leave out"}
        What to do with pairs of which a photo is missing; those left out are named.
    protocols : iterable of {"P1", "P2"}
        Which to report.
    measures : iterable of {"rank1", "cmc", "roc", "open-set"}
        rank1: share of trials identified at rank 1 among the distractors; cmc: the same at ranks 1, 2, ...; roc:
        true positive rate at a false positive rate (FPR); open-set: false negative identification rate at a false
        positive one (FPIR). Pairs give the accuracy over folds.
    widths : int or sequence of int, optional
        Face widths in pixels, 4 to 112, each once; by default the preset's.
    ranks : int
        Depth of the CMC.
    fprs, fpirs : sequence of float
        Where to read the curves, as shares. A rate that so few impostors cannot resolve gives no value.
    preset : str or Preset
        Has the widths, whether mirror images are added, and the resamples of intervals.
    left_out : iterable of LeftOut
        What the caller has left out of the faces before; it is named with what is left out here.
    progress : bool
        Show progress bars.

    Returns
    -------
    Score
        `table`, `str(...)`, `faces()`: on whom, and who was left out; `save(path)`; `provenance`, `curves`.

    Raises
    ------
    SettingError, DataError
        For what does not fit, with what to do; before anything is embedded where that can be known.
    """
    networks = named(embedders)
    preset = presets.get(preset, widths=widths)
    preset = presets.get(preset, widths=tuple(dict.fromkeys(preset.widths)))
    if bool(probes) != bool(distractors):
        raise SettingError("probes and distractors belong together: give both or none")
    if not probes and not pairs:
        raise SettingError("nothing to score on: give probes and distractors, or pairs")
    asked = check(
        networks.values(),
        pairs=pairs,
        images=images,
        folds=folds,
        on_missing=on_missing,
        protocols=protocols,
        measures=measures,
        ranks=ranks,
        fprs=fprs,
        fpirs=fpirs,
    )
    listed = asked.pairs
    provenance = _made_by(networks, preset)
    tables: list[pd.DataFrame] = []
    curves: Curves = {}
    if probes:
        given = splits.probe_splits(probes, distractors, progress)
        provenance |= {
            "probes": described(given.probes),
            "distractors": {**described(given.distractors), "excluded": list(given.excluded)},
            "people compared": given.comparison,
            "left out": [dataclasses.asdict(entry) for entry in dict.fromkeys((*left_out, *given.left_out))],
        }
        for table, drawn in _measured(networks, given, asked.measures, preset, (ranks, fprs, fpirs), progress):
            tables.append(table[table.protocol.isin(asked.protocols)])
            curves |= {key: curve for key, curve in drawn.items() if key[0] in asked.protocols}
    if listed:
        divided = _division(folds, listed)
        provenance["pairs"] = {
            "source": listed.photos.manifest["source"],
            "checksum": listed.photos.checksum,
            "images": len(listed.photos),
            "pairs": len(listed.same),
            "same": int(listed.same.sum()),
            "folds": len(np.unique(divided)) if isinstance(divided, np.ndarray) else divided,
            "left out": list(listed.left_out),
        }
        table = _over_pairs(networks, listed, divided, asked.protocols, preset, progress)
        provenance["pairs"]["balanced"] = bool(table.balanced.all())
        tables.append(table)
    return Score(pd.concat(tables, ignore_index=True).reindex(columns=COLUMNS), provenance, curves)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What `check` has found in order: protocols and measures by their own names, each once, and the pairs' photos."""

    protocols: list[str]
    measures: list[str]
    pairs: pair_list.PairList | None


def check(
    embedders: Iterable[Embedder] = (),
    *,
    pairs: str | Path = "",
    images: str | Path = "",
    folds: int = 0,
    on_missing: str = "refuse",
    protocols: Iterable[str] = tuple(PROTOCOLS),
    measures: Iterable[str] = ("rank1",),
    ranks: int = 20,
    fprs: Sequence[float] = (1e-3, 1e-4),
    fpirs: Sequence[float] = (1e-2, 1e-3),
) -> Asked:
    """Refuse what `score` refuses of its options, before anything is rendered, trained or embedded for it.

    Parameters and errors are those of `score`. The list of pairs and its photos are read.
    """
    asked = _chosen("protocol", protocols, tuple(PROTOCOLS)), _chosen("measure", measures, MEASURES)
    _check_rates("FPR", fprs)
    _check_rates("FPIR", fpirs)
    if not isinstance(ranks, int) or ranks < 1:
        raise SettingError(f"ranks is a whole number from 1, not {ranks!r}")
    for embedder in embedders:
        if isinstance(embedder, Onnx):
            embedder.embedder()  # a file that does not fit is said now, not when all faces are read
    of_pairs = {"images": images, "folds": folds, "on_missing": on_missing != "refuse"}
    if not pairs and (unused := [name for name, given in of_pairs.items() if given]):
        raise SettingError(f"there are no pairs: leave out {' and '.join(unused)}")
    listed = pair_list.read(pairs, images, on_missing) if pairs else None
    if listed:
        pairs_protocol.divided(_division(folds, listed), listed.same)
    return Asked(*asked, listed)


def named(embedders: Embedder | Sequence[Embedder] | Mapping[str, Embedder]) -> dict[str, Embedder]:
    """Embedders by name (of the file, the recipe or the function); paths become `embed.Onnx`, files are checked."""
    given: list[tuple[str, Any]]
    if isinstance(embedders, Mapping):
        given = list(embedders.items())
    else:
        given = [("", embedder) for embedder in (embedders if isinstance(embedders, (list, tuple)) else [embedders])]
    given = [(name, Onnx(Path(one)) if isinstance(one, (str, Path)) else one) for name, one in given]
    stems = [embedder.name for _, embedder in given if isinstance(embedder, Onnx)]
    networks: dict[str, Embedder] = {}
    for name, embedder in given:
        if isinstance(embedder, Onnx) and not name and stems.count(embedder.name) > 1:
            name = f"{embedder.path.parent.name}/{embedder.name}"
        name = name or getattr(embedder, "name", "") or getattr(embedder, "__name__", type(embedder).__name__)
        if name in networks:
            raise SettingError(
                f"two embedders are called {name!r}: give them as a dictionary by name, or rename a file"
            )
        networks[name] = embedder
    if not networks:
        raise SettingError("there is no embedder: give an ONNX file, a stored run or a function")
    return networks


def _chosen(kind: str, asked: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    asked = [asked] if isinstance(asked, str) else list(asked)
    known = {name.lower(): name for name in allowed}
    wrong = [name for name in asked if str(name).lower() not in known]
    if wrong or not asked:
        problem = f"no {kind} is called {wrong[0]!r}" if wrong else f"no {kind} was chosen"
        raise SettingError(f"{problem}: choose of {', '.join(allowed)}")
    return list(dict.fromkeys(known[name.lower()] for name in asked))


def _division(folds: int, listed: pair_list.PairList) -> int | np.ndarray:
    """What divides a list of pairs: the number that was asked for, else the folds of the list itself."""
    return folds or (listed.folds if listed.fold is None else listed.fold)


def _check_rates(name: str, asked: Sequence[float]) -> None:
    wrong = [rate for rate in asked if not 0 < rate <= 1]
    if wrong or not len(asked):
        raise SettingError(f"a {name} is a share above 0 and at most 1, such as 0.001: found {wrong or 'none'}")


def _measured(
    embedders: dict[str, Embedder],
    faces: ProbeSplits,
    measures: list[str],
    preset: Preset,
    depths: tuple[int, Sequence[float], Sequence[float]],
    progress: bool,
) -> Iterator[tuple[pd.DataFrame, Curves]]:
    """For each measure, its rows of the table, and its curves where it is the ROC; depths: ranks, FPRs, FPIRs."""
    keys, (ranks, fprs, fpirs) = ["protocol", "network", "width"], depths
    if {"rank1", "cmc"} & set(measures):
        depth = ranks if "cmc" in measures else 1
        identified = evaluate.identify(embedders, faces, preset, progress=progress, ranks=depth)
        rank1 = identified.table().assign(measure="rank1", at=1, impostors=len(faces.distractors))
    for measure in measures:
        if measure == "rank1":
            yield rank1.rename(columns={"rank1": "value"}), {}
        elif measure == "cmc":
            whole = identified.cmc().merge(rank1[[*keys, "people", "trials", "impostors"]], on=keys)
            yield whole.rename(columns={"rank": "at", "rate": "value"}).assign(measure="cmc"), {}
        elif measure == "roc":
            highest = max(verification.INTERVAL_FPR, *fprs)
            verified = evaluate.verify(embedders, faces, preset, progress=progress, interval_fpr=highest)
            names = {"fpr": "at", "tpr": "value", "genuine": "trials", "impostor": "impostors"}
            table = verified.table(fprs).rename(columns=names).assign(measure="roc")
            yield table, {key: verified.curve(*key) for key in verified.results}
        else:
            table = evaluate.open_set(embedders, faces, preset, progress=progress).table(fpirs)
            names = {"fpir": "at", "fnir": "value", "enrolled": "people", "mated": "trials", "unknown": "impostors"}
            yield table.rename(columns=names).assign(measure="open-set"), {}


def _over_pairs(
    embedders: dict[str, Embedder],
    listed: pair_list.PairList,
    folds: int | np.ndarray,
    protocols: list[str],
    preset: Preset,
    progress: bool,
) -> pd.DataFrame:
    """Accuracy on a list of pairs: under P1 both photos are at the width, under P2 the first of each pair alone."""
    rows = []
    for name, embedder in embedders.items():
        high = features(embedder, listed.photos, FACE_SIZE, preset.mirror, progress)
        for width in preset.widths:
            low = high if width == FACE_SIZE else features(embedder, listed.photos, width, preset.mirror, progress)
            for protocol in protocols:
                second = (low if protocol == "P1" else high)[listed.second]
                decided = pairs_protocol.evaluate(low[listed.first], second, listed.same, folds)
                row = {"protocol": protocol, "network": name, "width": width, "measure": "pairs"}
                rate = decided.interval().row("value") | {"value": 100 * decided.accuracy}
                row |= rate | {"trials": len(listed.same), "std": 100 * decided.std, "balanced": decided.balanced}
                rows.append(row)
    return pd.DataFrame(rows)


def _made_by(embedders: dict[str, Embedder], preset: Preset) -> dict[str, Any]:
    """Versions, embedders and how intervals are made."""
    made: dict[str, dict[str, Any]] = {}
    for name, embedder in embedders.items():
        if isinstance(embedder, Onnx):
            options = {key: getattr(embedder, key) for key in ("layout", "channels", "mean", "scale", "size")}
            checksums = embedder.checksums()
            graph = checksums.pop(embedder.path.name)
            weights = {"weights_sha256": checksums} if checksums else {}
            made[name] = {"file": embedder.path.name, "sha256": graph, **weights, **options}
        elif isinstance(embedder, Run):
            made[name] = {part: embedder.record[part] for part in OF_RUNS}
        else:
            made[name] = {"function": getattr(embedder, "__qualname__", type(embedder).__name__)}
    return {"embedders": made, "mirror": preset.mirror, **made_now(preset.resamples)}
