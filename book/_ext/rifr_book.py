"""The book's one Sphinx extension: what a build has to know of the library, the data and the reader's machine.

1. Outputs are reused only while what made them is unchanged: the execution cache's folder is named after the library's
   sources, the pinned packages and the RIFR_* environment, and is dropped when a face pack that it used has changed.
   (The cache itself keys on a chapter's code alone.)
2. Kernels import the library from this checkout and draw no progress bars, which would be text on stderr.
   Chapters without stored outputs are executed side by side, a core each, before the pages are read.
3. Pages ask no other host for anything: MathJax is copied beside them, the address of thebe is taken out.
4. All pages are read again when one has changed, so that numbers glued from another page are never stale,
   and after a build that failed, so that its warnings are seen until they are mended.
5. The captions of figures link to the documentation of the function that drew them.
6. What a page's scripts load is copied beside it (`rifr.report.living`).

What stands behind figures and numbers, and the appendix that lists it, is in `rifr_provenance`; how a chapter is run
with other parameters, and where its launch buttons lead, in `rifr_parameters`; docstrings are in `rifr_docstrings`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.util import logging

import rifr
from rifr import machine, storage
from rifr.report import living

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
LONG = ("tinyface", "alignment", "methods", "lower_numbers")  # begun first, or one core waits for them at the end
KEPT_CACHES = 5  # of earlier library versions and of other presets
MATHJAX = "mathjax/tex-chtml-full.js"  # with every TeX extension, so that nothing is fetched later

log = logging.getLogger(__name__)


# --- 1. The execution cache --------------------------------------------------------------------------------------


def outputs_key() -> str:
    """A digest of all that determines a chapter's outputs besides its own code and the face packs."""
    # `make book` names the default preset, `jupyter-book build book` does not: they share their outputs.
    settings = {"RIFR_PRESET": "mini"} | {
        name: value
        for name, value in os.environ.items()
        if name.startswith("RIFR_") and name != "RIFR_WORKERS" and value
    }
    records = (CHECKOUT / "book" / "records").glob("*.json")
    sources = _digests([*(CHECKOUT / "rifr").rglob("*.py"), CHECKOUT / "constraints.txt", *records])
    return storage.digest(settings, sources)[:16]


def pages_key() -> str:
    """A digest of what shapes every page: the outputs, this extension and the style sheet."""
    return storage.digest(outputs_key(), _digests(HERE.glob("*.py")), _digests((HERE.parent / "_static").iterdir()))


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path.relative_to(CHECKOUT)): storage.file_digest(path) for path in paths if path.is_file()}


def pack_checksums() -> dict[str, str]:
    """The checksum of every face pack in the store, by its folder."""
    root = storage.root()
    found = {}
    for manifest in [*root.glob("*/manifest.json"), *root.glob("*/*/manifest.json")]:
        found[str(manifest.parent.relative_to(root))] = storage.read_json(manifest).get("checksum", "")
    return found


def choose_cache(app: Sphinx, config) -> None:
    """Point the build to the outputs that this library, these packages and these packs made."""
    caches = Path(app.srcdir) / "_cache"
    cache = caches / outputs_key()
    used, now = cache / "packs.json", pack_checksums()
    before = storage.read_json(used) if used.exists() else {}
    if any(now.get(name, checksum) != checksum for name, checksum in before.items()):
        log.info("A face pack has changed: every chapter is executed again.")
        shutil.rmtree(cache)
    app.rifr_fresh = not cache.exists()
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    config.nb_execution_cache_path = str(cache)
    by_age = sorted(caches.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in by_age[KEPT_CACHES:]:
        shutil.rmtree(old)


def remember_packs(app: Sphinx, problem: Exception | None) -> None:
    """Note which face packs the outputs come from."""
    if problem is None:
        cache = Path(app.config.nb_execution_cache_path)
        storage.atomic_write(cache / "packs.json", json.dumps(pack_checksums(), indent=1))


def read_again(app: Sphinx, env, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Every page, when any page, the library, the data or the style sheet has changed."""
    for name in removed:  # or a page of an earlier table of contents stays, with its dead links
        Path(app.outdir, f"{name}.html").unlink(missing_ok=True)
    key = pages_key()
    unchanged = getattr(env, "rifr_pages_key", None) == key and not app.rifr_fresh
    env.rifr_pages_key = key
    return [] if unchanged and not (added or changed or removed) else sorted(env.found_docs)


def forget_failed_build(app: Sphinx, problem: Exception | None) -> None:
    """Read every page again after a build with warnings: else the same command, unchanged, would pass in silence."""
    if problem is not None or app._warncount:
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


# --- 2. The kernels' environment ---------------------------------------------------------------------------------


def prepare_kernels(app: Sphinx, config) -> None:
    os.environ["TQDM_DISABLE"] = "1"
    path = [str(CHECKOUT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    # On a fresh machine matplotlib builds its font cache once and says so on stderr: here rather than in a chapter.
    importlib.import_module("matplotlib.font_manager")


def execute_side_by_side(app: Sphinx, env, pages: list[str]) -> None:
    """Execute the chapters that have no stored outputs, a core each, and store what they give.

    One that fails is left: it is executed again when its page is read, and fails the build there. Two that ask for one
    network train it once.
    """
    cores = machine.available_cores()
    if app.config.nb_execution_mode != "cache" or cores < 2:
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = []
    for path in sorted((Path(env.doc2path(page)) for page in pages), key=lambda path: (path.stem not in LONG, path)):
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)
        if reader is not None:  # else a page without code
            notebook = reader.read(text)
            try:
                cache.match_cache_notebook(notebook)
            except KeyError:
                waiting.append((path, notebook))
    if len(waiting) < 2:
        return

    def execute(chapter: tuple[Path, nbformat.NotebookNode]):
        path, notebook = chapter
        return path, single_nb_execution(
            notebook, cwd=str(path.parent), timeout=app.config.nb_execution_timeout, allow_errors=False
        )

    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or "1"
    try:
        with ThreadPoolExecutor(cores) as pool:
            for path, done in pool.map(execute, waiting):
                if done.err is None:
                    cache.cache_notebook_bundle(
                        CacheBundleIn(done.nb, str(path), data={"execution_seconds": done.time}),
                        check_validity=False,
                        overwrite=True,
                    )
                    log.info("%s: executed in %.0f seconds", path.name, done.time)
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        os.environ.update({"OMP_NUM_THREADS": before} if before else {})


# --- 3. Nothing from elsewhere -----------------------------------------------------------------------------------


def use_local_mathjax(app: Sphinx, config) -> None:
    config.mathjax_path = MATHJAX


def copy_mathjax(app: Sphinx, problem: Exception | None) -> None:
    """The component file and its fonts (1.7 MB); the package's own hook would copy all 15 MB."""
    if problem is not None or app.builder.format != "html":
        return
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static"
    target = Path(app.outdir) / "_static"
    fonts = Path("mathjax/output/chtml/fonts/woff-v2")
    if not (target / fonts).exists():
        shutil.copytree(package / fonts, target / fonts)
    shutil.copyfile(package / MATHJAX, target / MATHJAX)


def drop_thebe(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """The live-code button is off, but its script and the address it would load stay on every page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{getattr(script, 'filename', script)}{getattr(script, 'attributes', {}).get('body', '')}"
    ]


# --- 5. Links to what drew a figure ------------------------------------------------------------------------------


def link_sources(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Turn the function's name in a figure's caption into a link to its documentation."""
    documented = app.env.get_domain("py").objects

    def link(match: re.Match) -> str:
        name = match[1]
        if name not in documented:
            log.warning("a caption names %s, which no page documents", name, location=page)
            return match[0]
        entry = documented[name]
        address = f"{app.builder.get_relative_uri(page, entry.docname)}#{entry.node_id}"
        return f'<a class="reference internal" href="{address}">{match[0]}</a>'

    if "body" in context and documented:  # the book of a batch documents nothing
        context["body"] = re.sub(r'<code class="rifr-source">([\w.]+)</code>', link, context["body"])


# --- 6. What scripts load ----------------------------------------------------------------------------------------


def copy_living(app: Sphinx, problem: Exception | None) -> None:
    """The networks and faces of the page "Try it", and what runs them."""
    if problem is None and app.builder.format == "html":
        living.copied(Path(app.outdir))


def setup(app: Sphinx) -> dict:
    app.setup_extension("rifr_provenance")
    app.setup_extension("rifr_parameters")
    app.setup_extension("rifr_docstrings")
    app.connect("config-inited", prepare_kernels)
    app.connect("config-inited", choose_cache)
    app.connect("config-inited", use_local_mathjax)
    app.connect("env-get-outdated", read_again)
    app.connect("env-before-read-docs", execute_side_by_side)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", link_sources)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", copy_living)
    app.connect("build-finished", remember_packs)
    app.connect("build-finished", forget_failed_build)
    return {"version": rifr.__version__, "parallel_read_safe": False, "parallel_write_safe": True}
