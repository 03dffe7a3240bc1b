"""A dry run of a training: what it reads, writes and takes, before days of it begin.

    rifr train --preset paper --faces packs/casia packs/facescrub packs/megaface --dry-run

Looks at the faces' roots and counts them, at the disk and the memory, and measures one step of each kind on this
machine's device, on noise. Nothing is trained, rendered or written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rifr import devices, machine, networks, recipes, splits, storage
from rifr.align import FACE_SIZE
from rifr.packs import FacePack
from rifr.presets import Preset, Training
from rifr.readers import archive
from rifr.readers.folder import require_people
from rifr.recipes import Recipe
from rifr.training import process_group, trainer
from rifr.training.batches import RankBatch
from rifr.training.loop import Trainer
from rifr.training.runs import Run
from rifr.training.student import Student

FACE_BYTES = FACE_SIZE**2 * 3
"""A face in a pack."""
GIB = 2**30
TIMED_STEPS = 2
"""Steps timed after one that is not; the fastest counts."""
PROBE_BATCH = 8
"""Photos of a step that a CPU measures, which may take minutes over a whole one: the rest is in proportion."""


@dataclass(frozen=True)
class Faces:
    """What lies at a root, or would be rendered.

    Attributes
    ----------
    images, people
        How many; of a reader's faces those that the rules of `splits.face_splits` take.
    new
        Whether a pack of it is still to be written.
    wrong
        Why it cannot be used; empty where it can.
    counts
        The images that lie there, by person; empty for what would be rendered.
    left_out
        Who and what of them is not taken.
    """

    name: str
    where: str
    images: int
    people: int
    new: bool = False
    wrong: str = ""
    counts: Mapping[str, int] = field(default_factory=dict, repr=False)
    left_out: tuple[splits.LeftOut, ...] = ()

    @property
    def stored(self) -> int:
        """The images of a pack of it, which holds those that are left out of a split, too."""
        return sum(self.counts.values()) or self.images


@dataclass(frozen=True)
class Step:
    """A measured step of a recipe.

    Attributes
    ----------
    seconds
        Of the whole batch, in proportion to the photos that were measured.
    peak
        The most bytes that the device (a CPU: the process) holds.
    images
        That the network sees of each photo: at 112 px and at one or two low widths.
    photos
        That were measured.
    """

    seconds: float
    peak: int
    images: int
    photos: int


@dataclass
class Report:
    """The lines of a dry run, and what is in the way of the training (`wrong`)."""

    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        outcome = [f"NOT READY: {text}" for text in self.wrong] or ["ready: the same command without --dry-run trains"]
        return "\n".join([*self.lines, "", *outcome])


def rehearse(preset: Preset, names: Sequence[str], roots: Sequence[str | None] = (None, None, None)) -> Report:
    """What a training reads, writes and takes.

    Parameters
    ----------
    preset, names
        The preset, and the names of the recipes.
    roots
        Of the three sets of faces, as for `splits.face_splits`.

    Raises
    ------
    SettingError
        For an unknown recipe.
    """
    planned = [(recipes.get(name), of) for name, of in trainer.trainings([(name, preset) for name in names])]
    training, report = preset.training, Report()
    given = [faces_at(name, root) for name, root in zip(("train", "probes", "distractors"), roots, strict=True)]
    if not any(one.wrong for one in given):
        given = _taken(given)
    expected = _rendered(preset)
    faces = given if any(roots) else expected
    report.lines.append(
        f"preset {preset.name}: {training.network}, {training.epochs} epochs, batch {training.batch_size}, "
        f"{training.precision}, {process_group.size()} process(es)"
    )
    if preset.name == "paper" and not any(roots):
        report.wrong.append(
            "the paper's faces are not given: --faces TRAIN PROBES DISTRACTORS, packs that "
            "data_scripts/casia_webface.py, facescrub.py and megaface.py make (rendered people stand in "
            "for them below)"
        )
    for one, usual in zip(faces, expected, strict=True):
        report.lines.append(
            f"  {one.name:12} {one.images:>9,} images of {one.people:>6,} people  {one.where} "
            f"(the preset: about {usual.images:,} of {usual.people:,})"
        )
        if one.wrong:
            report.wrong.append(f"{one.name}: {one.wrong}")
        else:
            report.lines += [f"    {entry}" for entry in one.left_out]
    if not any(one.wrong for one in faces):
        if faces[0].images < training.batch_size:
            report.wrong.append(f"{faces[0].images:,} images cannot fill a batch of {training.batch_size}")
        else:
            _costs(report, preset, planned, faces)
    return report


def measured_step(recipe: Recipe, preset: Preset, people: int) -> Step:
    """One step of a recipe on this process's device, on noise: degradation, forward, backward, optimiser.

    A CPU takes `PROBE_BATCH` photos, a GPU the process's share of the batch; time and memory are scaled to that share.
    On a CPU nothing is compiled: it would take minutes, for another number of photos than the batch's.
    """
    training = recipe.relevant(preset.training)
    fabric = process_group.fabric(training.precision)
    training = replace(training, compile=training.compile and fabric.device.type == "cuda")
    share = training.batch_size // fabric.world_size
    photos = share if fabric.device.type == "cuda" else min(share, PROBE_BATCH)
    draw = np.random.default_rng(0)
    pixels = torch.from_numpy(draw.integers(0, 256, (photos, FACE_SIZE, FACE_SIZE, 3), np.uint8))
    labels = torch.from_numpy(draw.integers(0, people, photos))
    before = _peak(fabric.device)
    with process_group.fast_arithmetic(fabric.device), torch.random.fork_rng(devices.generators(fabric.device)):
        student = Trainer(recipe, training, people, fabric, teacher_run=_untrained(recipe, preset, people))
        if recipe.needs_teacher:
            z = torch.randn(photos, training.embedding, device=fabric.device)
            q = torch.full((photos, people), 1 / people, device=fabric.device)
            student.teacher_outputs = lambda batch: (z[batch.which], q[batch.which])
        views = student.views
        seeds, place = (np.arange(photos), torch.device("cpu")) if views.by_camera else (None, fabric.device)

        def step() -> None:
            faces = pixels.to(place)
            shown = views(faces, views.widths(photos, draw), seeds)
            batch = RankBatch(np.arange(photos), faces, shown, torch.zeros(photos, dtype=torch.bool), labels)
            student.step(batch.to(fabric.device))

        step()
        seconds = _fastest(step, fabric.device) * share / photos
    return Step(seconds, before + (_peak(fabric.device) - before) * share // photos, views.count, photos)


@dataclass(frozen=True)
class Untrained(Run):
    """A stand-in for the run that is trained before another one: it has first weights, and no files."""

    student: Student

    def weights(self) -> dict[str, Tensor]:
        return self.student.state_dict()


def _untrained(recipe: Recipe, preset: Preset, people: int) -> Untrained | None:
    """In place of the run that a recipe learns from or goes on from; None for a recipe that needs none."""
    before = trainer.earlier(recipe, preset)
    if not before:
        return None
    first = recipes.get(before[0])
    training = first.relevant(before[1].training)
    return Untrained(Path(), {"training": asdict(training)}, Student(training, people, first.loss))


def measured_teacher(preset: Preset) -> float:
    """Seconds for the frozen teacher's outputs of one training photo: its features and those of its mirror image."""
    training = preset.training
    fabric = process_group.fabric(training.precision)
    photos = 256 if fabric.device.type == "cuda" else PROBE_BATCH
    network = Student(training, 2).network.to(fabric.device).eval()
    pixels = torch.zeros((photos, FACE_SIZE, FACE_SIZE, 3), dtype=torch.uint8, device=fabric.device)
    with torch.inference_mode():
        x = networks.to_input(pixels)
        network(x)
        return 2 * _fastest(lambda: network(x), fabric.device) / photos / fabric.world_size


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of `TIMED_STEPS` calls."""
    seconds = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _kind(recipe: Recipe, training: Training) -> tuple[bool, bool, bool, str, str]:
    """What decides how long a step takes: recipes that have it in common are timed once."""
    return recipe.uses_hr, recipe.uses_lr, recipe.needs_teacher, recipe.relevant(training).network, recipe.loss


def _costs(report: Report, preset: Preset, planned: Sequence[tuple[Recipe, Preset]], faces: Sequence[Faces]) -> None:
    """Disk, memory and time, added to the report; each recipe with its preset."""
    training, (photos, people) = preset.training, (faces[0].images, faces[0].people)
    device = process_group.fabric(training.precision).device
    chosen = [recipe for recipe, _ in planned]
    taken: dict[tuple[bool, bool, bool, str, str], Step] = {}
    for recipe, of in planned:
        kind = _kind(recipe, of.training)
        taken[kind] = taken.get(kind) or measured_step(recipe, of, people)
    weights = [_weights(recipe, of.training, people) for recipe, of in planned]
    writes = {
        "packs": sum(one.stored * FACE_BYTES for one in faces if one.new),
        "runs, and one that is under way": sum(weights) + 2 * max(weights),
        "features": (faces[1].images + faces[2].images) * len(preset.widths) * len(chosen) * training.embedding * 4,
    }
    free = archive.free_disk(storage.root())
    report.lines.append(
        "disk  "
        + ", ".join(f"{name} {size / GIB:.1f} GiB" for name, size in writes.items())
        + f"; free at {storage.root()}: {free / GIB:.0f} GiB"
    )
    if sum(writes.values()) > free:
        report.wrong.append(
            f"the disk is {(sum(writes.values()) - free) / GIB:.1f} GiB too small: free some, or set "
            f"RIFR_STORE to another disk"
        )
    students = sum(recipe.needs_teacher for recipe in chosen)
    table = 2 * photos * training.embedding * 4 if students and not training.teacher_in_step else 0
    need, have = max(step.peak for step in taken.values()) + table, _memory(device)
    report.lines.append(
        f"memory  {need / GIB:.1f} GiB of {have / GIB:.0f} on {_name(device)}: a step's "
        f"{(need - table) / GIB:.1f}, and {table / GIB:.1f} for the teacher's outputs, two rows per photo"
    )
    if need > have:
        report.wrong.append(
            f"{_name(device)} lacks {(need - have) / GIB:.1f} GiB of memory: --set micro_batch="
            f"{training.batch_size // 2} takes a batch in parts, or start more processes (torchrun)"
        )
    total = 0.0
    if students:
        times = training.epochs / 2 if training.teacher_in_step else 1
        total = times * photos * measured_teacher(preset)
        what = f"photos in {training.epochs} epochs" if training.teacher_in_step else "photos and their mirror images"
        report.lines.append(f"time  {'teacher outputs':20} {photos:>9,} {what} = {_long(total)}")
        total *= students  # each has them computed
    for recipe, of in planned:
        steps = photos // training.batch_size * of.training.epochs
        step = taken[_kind(recipe, of.training)]
        rows = training.batch_size * step.images
        total += steps * step.seconds
        report.lines.append(
            f"time  {recipe.label:20} {steps:>9,} steps of {1000 * step.seconds:,.1f} ms "
            f"({rows / step.seconds:,.0f} images/s) = {_long(steps * step.seconds)}"
        )
    report.lines.append(
        f"time  all {len(chosen)}, one after the other: {_long(total)}. Measured on noise, {TIMED_STEPS} steps each"
        f"{', of ' + str(PROBE_BATCH) + ' photos' if device.type == 'cpu' else ''}: reading and evaluation come on top"
    )


def _weights(recipe: Recipe, training: Training, people: int) -> int:
    """Bytes of a run's weights, those of its loss included."""
    student = Student(recipe.relevant(training), people, recipe.loss)
    return sum(parameter.numel() for parameter in student.parameters()) * 4


def faces_at(name: str, root: str | None) -> Faces:
    """What lies at a root: a pack, or a folder per person."""
    if not root:
        return Faces(name, "", 0, 0, wrong="no root is given: --faces TRAIN PROBES DISTRACTORS")
    path = Path(root)
    if (path / "manifest.json").exists():
        try:
            pack = FacePack.open(path)
        except (OSError, ValueError) as error:
            return Faces(name, root, 0, 0, wrong=str(error))
        return Faces(name, root, len(pack), len(pack.people), counts=Counter(pack.identities.tolist()))
    try:
        people = require_people(path).people
    except (OSError, ValueError) as error:
        return Faces(name, root, 0, 0, wrong=str(error))
    counts = {person: len(files) for person, files in people.items() if files}
    wrong = "" if counts else f"{root} holds no images in folders per person"
    return Faces(name, root, sum(counts.values()), len(counts), new=True, wrong=wrong, counts=counts)


def _taken(given: Sequence[Faces]) -> list[Faces]:
    """What the splits take of the three sets of faces."""
    counted = splits.counted_splits(**{one.name: one.counts for one in given})
    return [replace(one, **vars(counted[one.name])) for one in given]


def _rendered(preset: Preset) -> list[Faces]:
    sizes = {
        "train": (preset.train_people, preset.train_images),
        "probes": (preset.probe_people, preset.probe_images),
        "distractors": (preset.distractor_people, 1),
    }
    return [Faces(name, "rendered", people * images, people, new=True) for name, (people, images) in sizes.items()]


def _peak(device: torch.device) -> int:
    """The most bytes held so far: on a GPU by tensors, on a CPU by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return machine.peak_memory()


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return machine.available_memory()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def _long(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
