"""The book's extension: what makes it execute again, and what it does to docstrings and captions.

The extension is loaded by its path, as Sphinx does; the builds themselves are checked on the finished HTML.
"""

import ast
import importlib.util
import inspect
import json
import os
import pkgutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from sphinx.ext.napoleon import Config, NumpyDocstring

from rifr.report import figures

SOURCE = Path(__file__).resolve().parent.parent / "book" / "_ext" / "rifr_book.py"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """The extension, looking at a small checkout and a store of the test's own."""
    spec = importlib.util.spec_from_file_location("rifr_book_under_test", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "checkout"
    (checkout / "rifr").mkdir(parents=True)
    (checkout / "rifr" / "losses.py").write_text("# one\n")
    (checkout / "constraints.txt").write_text("numpy==2.4.6\n")
    (checkout / "book").mkdir()
    monkeypatch.setattr(module, "CHECKOUT", checkout)
    for name in [name for name in os.environ if name.startswith("RIFR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    return module


def started(book) -> SimpleNamespace:
    """A build that has chosen its cache."""
    app = SimpleNamespace(srcdir=book.CHECKOUT / "book", config=SimpleNamespace())
    book.choose_cache(app, app.config)
    return app


def test_an_unchanged_library_finds_its_outputs_again(book):
    first, second = started(book), started(book)
    assert first.config.nb_execution_cache_path == second.config.nb_execution_cache_path
    assert first.rifr_fresh and not second.rifr_fresh


def test_a_changed_library_package_record_or_preset_asks_for_new_outputs(book, monkeypatch):
    keys = [book.outputs_key()]
    (book.CHECKOUT / "book" / "records").mkdir()
    (book.CHECKOUT / "book" / "records" / "speed.json").write_text("{}")
    keys.append(book.outputs_key())
    (book.CHECKOUT / "rifr" / "losses.py").write_text("# two\n")
    keys.append(book.outputs_key())
    (book.CHECKOUT / "rifr" / "metrics.py").write_text("# one\n")
    keys.append(book.outputs_key())
    (book.CHECKOUT / "constraints.txt").write_text("numpy==2.4.7\n")
    keys.append(book.outputs_key())
    monkeypatch.setenv("RIFR_PRESET", "smoke")
    keys.append(book.outputs_key())
    assert len(set(keys)) == len(keys)


def test_the_default_preset_named_or_not_shares_its_outputs(book, monkeypatch):
    unnamed = book.outputs_key()
    monkeypatch.setenv("RIFR_PRESET", "mini")
    assert book.outputs_key() == unnamed


def test_a_changed_face_pack_drops_the_outputs_and_a_further_pack_does_not(book):
    pack = Path(os.environ["RIFR_STORE"]) / "faces" / "train-0" / "manifest.json"
    pack.parent.mkdir(parents=True)
    pack.write_text(json.dumps({"checksum": "one"}))
    book.remember_packs(started(book), None)
    other = pack.parent.parent / "probe-0" / "manifest.json"
    other.parent.mkdir()
    other.write_text(json.dumps({"checksum": "new"}))
    assert not started(book).rifr_fresh
    pack.write_text(json.dumps({"checksum": "two"}))
    assert started(book).rifr_fresh


@pytest.mark.parametrize("problem, warnings, kept", [(None, 0, True), (None, 2, False), (ValueError("cell"), 0, False)])
def test_a_build_that_failed_fails_again_until_it_is_mended(book, tmp_path, problem, warnings, kept):
    (tmp_path / "environment.pickle").touch()
    book.forget_failed_build(SimpleNamespace(doctreedir=tmp_path, _warncount=warnings), problem)
    assert (tmp_path / "environment.pickle").exists() == kept


def test_old_outputs_are_not_kept_for_ever(book):
    for version in range(book.KEPT_CACHES + 3):
        (book.CHECKOUT / "rifr" / "losses.py").write_text(f"# {version}\n")
        newest = started(book).config.nb_execution_cache_path
        os.utime(newest, (version, version))
    kept = list((book.CHECKOUT / "book" / "_cache").iterdir())
    assert len(kept) == book.KEPT_CACHES and Path(newest) in kept


def test_a_caption_links_to_the_function_and_an_undocumented_one_warns(book):
    entry = SimpleNamespace(docname="appendices/api", node_id="rifr.report.figures.recognition.curve")
    domain = SimpleNamespace(objects={"rifr.report.figures.recognition.curve": entry})
    app = SimpleNamespace(
        env=SimpleNamespace(get_domain=lambda name: domain),
        builder=SimpleNamespace(get_relative_uri=lambda page, to: f"{to}.html"),
    )
    context = {"body": '<code class="rifr-source">rifr.report.figures.recognition.curve</code>'}
    book.link_sources(app, "faces", "page.html", context, None)
    assert 'href="appendices/api.html#rifr.report.figures.recognition.curve"' in context["body"]
    context = {"body": '<code class="rifr-source">rifr.report.figures.recognition.other</code>'}
    warnings = []
    book.log = SimpleNamespace(warning=lambda *arguments, **options: warnings.append(arguments))
    book.link_sources(app, "faces", "page.html", context, None)
    assert len(warnings) == 1 and "rifr.report.figures.recognition.other" in warnings[0]


@pytest.fixture
def docstrings():
    spec = importlib.util.spec_from_file_location("rifr_docstrings_under_test", SOURCE.with_name("rifr_docstrings.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(docstrings, text):
    lines = inspect.cleandoc(text).split("\n")
    docstrings.mathematics(None, "function", "f", None, None, lines)
    return publish_doctree("\n".join(lines), settings_overrides={"report_level": 2, "halt_level": 2})


def test_the_mathematics_of_a_docstring_is_a_formula_on_its_page(docstrings):
    tree = rendered(
        docstrings,
        r"""Of $\lambda$ = 5, ``$HOME`` and ``a $b$``, a store of $20.

        $$ L = \frac{1}{N} \sum_i x_i, \qquad
           x_i > 0 $$

        Then a word.
        """,
    )
    (block,), (inline,) = tree.findall(nodes.math_block), tree.findall(nodes.math)
    assert block.astext() == r"L = \frac{1}{N} \sum_i x_i, \qquad x_i > 0" and inline.astext() == r"\lambda"
    assert [code.astext() for code in tree.findall(nodes.literal)] == ["$HOME", "a $b$"]
    assert tree[-1].astext() == "Then a word."


def test_no_docstring_of_the_library_leaves_a_formula_unread(docstrings):
    blocks = 0
    for path in sorted((SOURCE.parents[2] / "rifr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_documented = isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
            text = (is_documented and ast.get_docstring(node)) or ""
            if "$$" not in text:
                continue
            tree = rendered(docstrings, text.split("\n\nParameters\n")[0].split("\n\nAttributes\n")[0])
            found = [block.astext() for block in tree.findall(nodes.math_block)]
            assert len(found) == text.count("$$") / 2 and not any("$" in one for one in found), (path, node.name)
            assert "$" not in "".join(part.astext() for part in tree.findall(nodes.paragraph)), (path, node.name)
            blocks += len(found)
    assert blocks > 20


def test_a_property_whose_first_sentence_has_a_colon_is_read_whole(docstrings):
    lines = ["How many people have two photos: the TPR is about them.", "", "No more."]
    read = str(NumpyDocstring("\n".join(lines), Config(), what="property", name="people")).split("\n")
    assert read[0] == "the TPR is about them."  # what napoleon makes of it
    docstrings.whole_sentence(None, "property", "people", None, None, read)
    assert read[:3] == lines and not any(read[3:])
    without = ["(N,) the scores.", ""]
    docstrings.whole_sentence(None, "property", "scores", None, None, without)
    assert without == ["(N,) the scores.", ""]


def test_a_signature_does_not_show_how_pydantic_checks_a_type(docstrings):
    checked = "a: Annotated[int, Field(Ge(ge=1), g(x=[1, 2]))], b: tuple[Annotated[float, F()] | None, int] = 1.0"
    assert docstrings.signature(*[None] * 5, f"({checked})", None)[0] == "(a: int, b: tuple[float | None, int] = 1.0)"


def test_a_default_that_a_dataclass_makes_leaves_a_signature_that_is_read(docstrings):
    arguments, _ = docstrings.signature(None, "class", "C", None, None, "(a: int, b: dict = <factory>)", None)
    assert ast.parse(f"def f{arguments}: ...") and docstrings.signature(*[None] * 5, None, "int") == (None, "int")


def test_every_module_of_figures_stands_on_the_page_of_figures():
    """Those that a record brings, too: a build without one draws none of them, and would not warn."""
    page = (SOURCE.parent.parent / "appendices" / "figures.md").read_text()
    documented = {line.split()[-1] for line in page.splitlines() if "automodule::" in line}
    drawn = {f"rifr.report.figures.{module.name}" for module in pkgutil.iter_modules(figures.__path__)}
    shared, of_scores = "rifr.report.figures.axes", "rifr.report.figures.scores"  # panels; what `rifr evaluate` saves
    assert drawn - documented == {shared, of_scores}


def test_the_live_code_script_is_taken_out_and_others_stay(book):
    def script(name, **attributes):
        return SimpleNamespace(filename=name, attributes=attributes)

    scripts = [
        script("_static/doctools.js"),
        script("_static/sphinx-thebe.js"),
        script(None, body='const THEBE_JS_URL = "https://example/thebe.js"'),
        script(None, body="window.x = 1"),
    ]
    context = {"script_files": list(scripts)}
    book.drop_thebe(None, "faces", "page.html", context, None)
    assert context["script_files"] == [scripts[0], scripts[3]]


def test_nothing_that_a_reader_could_miss_in_mathjax_is_left_out(book, tmp_path):
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path / "html")
    book.copy_mathjax(app, None)
    folder = tmp_path / "html" / "_static" / "mathjax"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (folder / "tex-chtml-full.js").is_file() and len(list(folder.rglob("*.woff"))) > 15
    assert size < 3e6
