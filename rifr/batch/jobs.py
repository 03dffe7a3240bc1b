"""One run of a batch: what decides it, where its notebook lies, and how a worker executes it."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

import rifr
from rifr import storage
from rifr.errors import DataError, SettingError, StorageError

TRIES = 3  # of a run whose kernel or worker is killed
KERNEL_DIED = "Kernel died"  # how jupyter_client begins to say so of a kernel that never answered
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "PYTHON_CPU_COUNT",
    "RIFR_WORKERS",
)
"""Environment variables that keep a run to its share of the cores."""

_stopped: set[str] = set()  # batches whose kernels this worker must not start again


def defaults(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """The names in a chapter's cell of parameters with their values; what is no constant is given as code."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise DataError(f"a chapter has one cell with the tag `parameters`, this one has {len(cells)}.")
    values = {}
    for node in ast.parse(cells[0]).body:
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        for target in targets:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name) and node.value:
                try:
                    values[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    values[target.id] = ast.unparse(node.value)
    return values


READ = ("_faces", "_root")
"""How the names of parameters end that name a folder which a chapter reads."""


@dataclass(frozen=True)
class Job:
    """One run of a batch.

    Attributes
    ----------
    chapter, notebook
        Its name, and the notebook as JSON.
    parameters
        By name.
    out
        The folder where the executed notebook is to appear.
    """

    chapter: str
    notebook: str
    parameters: dict[str, Any]
    out: Path

    @property
    def name(self) -> str:
        """ "ablation-preset=mini-seed=0": safe in a file system, another for other parameters."""
        words = [self.chapter, *(f"{name}={value}" for name, value in self.parameters.items())]
        text = "-".join(words)
        safe = re.sub(r"[^\w.=+-]+", "_", text)[:100]
        return safe if safe == text else f"{safe}-{storage.digest(self.parameters)[:8]}"

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.ipynb"

    @property
    def failed(self) -> Path:
        return self.out / f"{self.name}.failed.ipynb"

    @property
    def running(self) -> Path:
        return self.out / ".running" / f"{self.name}.ipynb"

    def made_by(self) -> dict[str, Any]:
        """What decides the run: digests of the chapter's cells, of the library's sources, and of a reader's own files.

        Those are the methods of RIFR_METHODS, and the folders that `READ` parameters name, as they are now.
        """
        cells = [
            (cell.cell_type, cell.source, cell.metadata.get("tags", []))
            for cell in nbformat.reads(self.notebook, as_version=4).cells
        ]
        return {
            "chapter": self.chapter,
            "parameters": self.parameters,
            "source": storage.digest(cells),
            "library": storage.sources_digest(rifr),
            **({"methods": _methods()} if os.environ.get("RIFR_METHODS") else {}),
            **({"folders": folders} if (folders := self._folders()) else {}),
        }

    def _folders(self) -> dict[str, str]:
        """The digest of each folder that a parameter names; chapters run where this process does."""
        asked = {name: value for name, value in self.parameters.items() if name.endswith(READ) and value}
        named = {name: Path(value) for name, value in asked.items() if isinstance(value, str)}
        return {name: storage.folder_digest(folder) for name, folder in named.items() if folder.is_dir()}

    def done(self) -> bool:
        """Whether the notebook is there and was made by what there is now."""
        return self.path.exists() and made_by(self.path) == self.made_by()

    def keep(self, made_by: dict[str, Any], error: str = "") -> str:
        """Give the executed notebook its place, under its own name or as a failed one; returns the error."""
        notebook = storage.read_json(self.running)
        paths = {"input_path": f"{self.chapter}.ipynb", "output_path": self.path.name}  # not this machine's
        notebook["metadata"].setdefault("papermill", {}).update(paths)
        notebook["metadata"]["rifr"] = made_by | ({"error": error} if error else {})
        place, other = (self.failed, self.path) if error else (self.path, self.failed)
        storage.atomic_write(place, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        other.unlink(missing_ok=True)
        self.running.unlink()
        return error


def _methods() -> str:
    """The digest of a reader's own methods, and of what their files import from beside them."""
    from rifr import methods

    return storage.sources_digest(*methods.of_readers())


def made_by(path: Path) -> dict[str, Any]:
    """What a run's notebook says of its making; empty for other files."""
    try:
        return storage.read_json(path)["metadata"].get("rifr", {})
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def jobs(chapter: Path, values: dict[str, list[Any]], out: Path) -> list[Job]:
    """A job for each combination of the values, in their order; the chapter's preset and seed are always among them.

    Parameters
    ----------
    chapter
        A notebook.
    values
        Of each parameter that varies.
    out
        The folder of the executed notebooks.

    Raises
    ------
    DataError
        For a file that is no notebook, or has not one cell of parameters.
    SettingError
        For a parameter that the chapter does not have, with those that it has.
    """
    chapter = Path(chapter)
    try:
        notebook = nbformat.read(chapter, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise DataError(f"{chapter} is no notebook: {error}") from None
    known = defaults(notebook)
    for name in values:
        if name not in known:
            hint = f", or write changes={name}=VALUE for a field of the preset" if "changes" in known else ""
            raise SettingError(f"{chapter.name} has no parameter {name!r}: choose among {', '.join(known)}{hint}.")
    axes = {name: [known[name]] for name in ("preset", "seed") if name in known} | values
    if "preset" in axes:  # as the chapter will understand it: $RIFR_PRESET may be another the next time
        axes["preset"] = [name or os.environ.get("RIFR_PRESET") or "mini" for name in axes["preset"]]
    text, out = nbformat.writes(notebook), Path(out).resolve()
    rows = (dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values()))
    return list({job.name: job for job in (Job(chapter.stem, text, row, out) for row in rows)}.values())


def environment(threads: int, batch: str) -> dict[str, str]:
    """What a run's kernel has to know: its share of the cores, this library, and to draw no bars, text on stderr."""
    path = [str(storage.PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    ours = {name: value for name, value in os.environ.items() if name.startswith("RIFR_")}
    return {
        **ours,
        **dict.fromkeys(THREADS, str(threads)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "RIFR_BATCH": batch,
        "PYTHONPATH": os.pathsep.join(path),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "TQDM_DISABLE": "1",
    }


def execute(job: Job, settings: dict[str, str], folder: str) -> str:
    """Execute a run in `folder`, unless another worker has; a kernel that is killed is started `TRIES` times in all.

    Returns
    -------
    str
        The run's error, "" for none.

    Raises
    ------
    StorageError
        Where the notebook cannot be written; it names the folder.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    os.environ.update(settings)
    template = str(job.running).replace("{", "{{").replace("}", "}}")  # papermill fills in parameters
    ends = f"from rifr.training import parallel; parallel.exit_with_parent({os.getpid()}); del parallel"
    try:
        with storage.lock(job.running):
            if job.done():
                return ""
            made_by = job.made_by()
            for _ in range(TRIES):
                storage.atomic_write(job.running, job.notebook)
                try:
                    papermill.execute_notebook(
                        template,
                        template,
                        job.parameters,
                        kernel_name="python3",
                        cwd=folder,
                        progress_bar=False,
                        extra_arguments=[f"--IPKernelApp.exec_lines={ends}"],
                    )
                    return job.keep(made_by)
                except papermill.PapermillExecutionError as error:
                    return job.keep(made_by, " ".join(f"{error.ename}: {error.evalue}".split()))
                except RuntimeError as error:  # it may have died before its first answer, as where a port was taken
                    if not isinstance(error, DeadKernelError) and KERNEL_DIED not in str(error):
                        raise
                    if settings["RIFR_BATCH"] in _stopped:
                        return "stopped"
            return job.keep(made_by, f"its kernel was killed {TRIES} times (out of memory?)")
    except OSError as error:
        raise StorageError(f"{job.out}: {error.strerror or error}") from error


def end_kernels(batch: str) -> None:
    """End the processes that a batch has started below this worker."""
    import psutil

    _stopped.add(batch)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.environ().get("RIFR_BATCH") == batch:
                process.kill()
