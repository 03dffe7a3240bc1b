"""What stands behind a figure, a number or a sentence is what made it, and a stored run is found by its key."""

import html
import importlib.util
import json
import linecache
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from docutils import nodes
from docutils.utils import new_document
from matplotlib.figure import Figure

from rifr import cli, storage
from rifr.errors import SettingError
from rifr.packs import FacePack
from rifr.report import made_by as behind
from rifr.report import records, study_tables, style
from rifr.report.show import html_table, markdown, show, tabs
from rifr.storage import cache
from tests.helpers import easy_faces

SOURCE = Path(__file__).resolve().parent.parent / "book" / "_ext" / "rifr_provenance.py"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of the test's own, from which this process has used nothing yet."""
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(cache, "_used", {})
    return tmp_path / "store"


def run(recipe, key, kind="runs"):
    """A stored run, opened as a chapter does."""

    def make(path):
        path.mkdir(parents=True)
        record = {"recipe": recipe, "preset": "smoke", "seed": 3, "key": key, "finished": "2026-11-27T01:02:03+00:00"}
        (path / "record.json").write_text(json.dumps(record | {"faces": {"checksum": "f" * 64}, "history": []}))

    return storage.found_or_made(kind, f"{recipe}-smoke-s3", key, make, lambda path: path)


def said(shown):
    """What a disclosure keeps for programs."""
    page = shown._repr_html_() if hasattr(shown, "_repr_html_") else shown._repr_markdown_()
    (data,) = re.findall(r'data-made-by="([^"]*)"', page)
    return json.loads(html.unescape(data))


def cell(code, **names):
    """The last line of a notebook's cell, run as IPython does: its source is kept under the name of a file."""
    file = f"/cell/{hash(code)}.py"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    names["__name__"] = "__main__"
    exec(compile(code, file, "exec"), names)
    return names["shown"]


def empty(*_, **__):
    return Figure(figsize=(1, 1))


def test_a_figure_names_the_networks_of_its_table_and_no_others(store):
    paths = {name: run(name, f"{place}" * 64) for place, name in enumerate(("hr-only", "proposed", "hr+lr"), 1)}
    table = pd.DataFrame({"network": ["proposed", "hr-only", "proposed"], "rank1": [1, 2, 3]})
    shown = said(show(empty, table, alt="a", caption="c", source=style.style))
    assert [one["name"] for one in shown["networks"]] == [paths["hr-only"].name, paths["proposed"].name]
    assert shown["networks"][1]["key"] == "2" * 64 and shown["networks"][1]["faces"] == "f" * 64 and shown["only"]
    assert shown["functions"] == ["rifr.report.style.style"] and shown["drawn"] and shown["title"] == "a"
    of_outcome = SimpleNamespace(results={("P1", "hr+lr", 16): None})
    assert [one["recipe"] for one in said(show(empty, of_outcome, alt="a", caption="c"))["networks"]] == ["hr+lr"]
    without = show(empty, alt="a", caption="c")
    assert len(said(without)["networks"]) == 3 and not said(without)["only"]
    assert (
        "Networks open by then" in without._repr_html_()
        and "open by then" not in show(empty, table, alt="a", caption="c")._repr_html_()
    )


def test_a_table_that_calls_networks_by_their_labels_names_them_too(store):
    for place, name in enumerate(("hr-only", "hr+lr", "proposed"), 1):
        run(name, f"{place}" * 64)
    table = pd.DataFrame({"network": ["HR-only", "proposed"], "rank-1": ["1.0", "2.0"]})
    assert [one["recipe"] for one in said(html_table(table))["networks"]] == ["hr-only", "proposed"]


def test_faces_are_named_with_seed_and_checksum_each_once(store, tmp_path):
    pack = storage.found_or_made("packs", "mine", "a" * 64, easy_faces, FacePack.open)
    other = easy_faces(tmp_path / "folder", people=2, images=2, seed=4)
    code = "shown = html_table(frame)"
    faces = SimpleNamespace(train=other, probes=pack)
    shown = said(cell(code, html_table=html_table, frame=pd.DataFrame({"n": [1]}), faces=faces, seed=5))
    assert [one["checksum"] for one in shown["faces"]] == [pack.checksum, other.checksum]
    assert shown["faces"][0]["name"] == f"mine-{'a' * 12}" and shown["seed"] == 5
    assert shown["title"] == "Table: n"


def test_a_record_is_named_once_it_has_been_read(store, tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    record = {"provenance": {"date": "2026-01-02T03:04:05+00:00", "commit": "abc"}, "rows": []}
    (tmp_path / "speed.json").write_text(json.dumps(record))
    assert said(markdown("Text."))["records"] == []
    assert records.read("speed") and records.read("absent") is None
    assert said(markdown("Text."))["records"] == [
        {"kind": "record", "name": "speed", "date": "2026-01-02", "commit": "abc"}
    ]


def test_a_figure_of_a_record_names_the_record_and_no_network_of_this_build(store, tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_RECORDS", str(tmp_path))
    run("proposed", "1" * 64)
    rows = [{"seed": 0, "network": "proposed", "protocol": "P1", "at": 16, "measure": "rank1", "value": 3, "n": 9}]
    about = {"date": "2026-01-02T03", "seeds": [0], "faces": {"probe_people": 2}, "preset": {"name": "smoke"}}
    rows[0] |= {"low": 1, "high": 5}
    for name in ("large", "other"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"provenance": about, "rows": rows}))
    study = study_tables.read("large")
    records.read("other")
    shown = said(show(empty, {"proposed": study.rank1(["proposed"])}, alt="a", caption="c"))
    assert [one["name"] for one in shown["records"]] == ["large"] and shown["networks"] == shown["faces"] == []
    row = {"measure": "tpr", "at": "25 px, 0.001"}
    (tmp_path / "large.json").write_text(json.dumps({"provenance": about, "rows": [rows[0] | row]}))
    shown = said(html_table(study_tables.tpr(study_tables.read("large"), 25)))
    assert [one["name"] for one in shown["records"]] == ["large"] and shown["networks"] == shown["faces"] == []
    both = said(show(empty, study.rank1(), pd.DataFrame({"network": ["proposed"]}), alt="a", caption="c"))
    assert len(both["networks"]) == len(both["records"]) == 1
    of_build = said(show(empty, pd.DataFrame({"network": ["proposed"]}), alt="a", caption="c"))
    assert len(of_build["networks"]) == 1 and of_build["records"] == []


def test_a_sentence_names_the_functions_that_its_statement_calls(store):
    code = (
        "import math\nfrom rifr.report.show import markdown\nfrom rifr.report import style, paper\n"
        "style.style('light')\nshown = markdown(f'{math.floor(2.5)} {style.network_style(\"proposed\")}')\n"
    )
    assert said(cell(code))["functions"] == ["rifr.report.style.network_style"]
    code = code.replace("shown = markdown", "words = str").rstrip() + "\nshown = markdown(words)\n"
    assert said(cell(code))["functions"] == ["rifr.report.style.style", "rifr.report.style.network_style"]


def test_text_stays_text_and_the_disclosure_is_a_block_of_its_own(store):
    shown = markdown("As $w < 3$ says.\n")
    assert shown.data == "As $w < 3$ says.\n" and shown._repr_markdown_().startswith("As $w < 3$ says.\n\n<details ")
    assert "\n\n" not in shown._repr_markdown_().split("<details", 1)[1].strip()
    assert "<details open" not in shown._repr_markdown_() and said(shown)["title"] == "As w < 3 says."
    assert len(said(markdown("word " * 60))["title"]) < 90


def test_tabs_of_tables_that_say_nothing_say_it_themselves(store):
    frame = pd.DataFrame({"n": [1]})
    assert len(re.findall("<details", tabs({"a": frame, "b": frame})._repr_html_())) == 1
    assert len(re.findall("<details", tabs({"a": html_table(frame), "b": html_table(frame)})._repr_html_())) == 2


def test_what_is_shown_in_a_page_cannot_break_it(store):
    run('"><script>', "5" * 64)
    page = show(empty, alt='"quoted" <b>', caption="c")._repr_html_()
    assert "<script>" not in page and said(show(empty, alt='"quoted" <b>', caption="c"))["title"] == '"quoted" <b>'


def test_a_run_is_found_by_the_beginning_of_its_key(store, capsys):
    run("hr-only", "ab12" + "0" * 60)
    path = run("proposed", "ab34" + "0" * 60)
    run("wing+lr", "cd" + "0" * 62, "landmarks")
    assert cli.main(["runs", "--show", "ab3"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["recipe"] == "proposed" and record["folder"] == str(path) and record["key"].startswith("ab34")
    for key in (path.name, "ab34" + "0" * 60, "AB34"):
        assert behind.stored_run(key).path == path
    assert behind.stored_run("c").record["recipe"] == "wing+lr"
    with pytest.raises(SettingError, match="begins with 'ff'"):
        behind.stored_run("ff")
    for nothing in ("", "ab34" + "0" * 59 + "1", "-"):
        with pytest.raises(SettingError, match="no run"):
            behind.stored_run(nothing)
    with pytest.raises(SettingError, match=r"hr-only-smoke-s3-ab12[\s\S]*proposed-smoke-s3-ab34"):
        behind.stored_run("ab")
    assert cli.main(["runs", "--show", "ab"]) == 1 and "2 runs" in capsys.readouterr().err


@pytest.fixture
def extension():
    spec = importlib.util.spec_from_file_location("rifr_provenance_under_test", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def app_of(pages, titles):
    """A build of these pages, in this order."""
    env = SimpleNamespace(
        config=SimpleNamespace(root_doc="index"),
        toctree_includes={"index": list(titles)},
        titles={name: nodes.title("", title) for name, title in titles.items()},
        found_docs={"index", *titles},
        docname="",
        get_domain=lambda name: SimpleNamespace(objects=pages),
    )
    return SimpleNamespace(env=env, builder=SimpleNamespace(get_relative_uri=lambda page, to: f"{to}.html"))


def read(extension, app, page, *parts):
    """A page's doctree with these raw parts, read by the extension; its HTML."""
    tree = new_document(page)
    tree += [nodes.raw("", part, format="html") for part in parts]
    app.env.docname = page
    extension.collect(app, tree)
    return "".join(raw.astext() for raw in tree.findall(nodes.raw))


def test_the_appendix_lists_each_run_pack_and_record_once_with_all_its_pages(extension, store):
    one, two = run("hr-only", "1" * 64), run("proposed", "2" * 64)
    storage.found_or_made("packs", "mine", "a" * 64, easy_faces, FacePack.open)
    figure = show(empty, ["hr-only"], alt="First.", caption="c", source=style.style)._repr_html_()
    words = markdown("Words, *both*.")._repr_markdown_().split("\n\n")[1]
    app = app_of({}, {"b": "7 Chapter B", "a": "Chapter A", "appendices/provenance": "Provenance"})
    page = read(extension, app, "a", figure, "<p>other</p>", figure)
    assert [f'id="made-by-{number}"' in page for number in (1, 2, 3)] == [True, True, False]
    assert "data-made-by" not in page and "<p>other</p>" in page
    read(extension, app, "b", words)
    read(extension, app, "c", "<p>nothing</p>")
    places = [f'<div class="rifr-provenance" data-of="{name}"></div>' for name in ("runs", "faces", "records", "shown")]
    tree = new_document("appendix")
    tree += [nodes.raw("", place, format="html") for place in places]
    extension.fill(app, tree, "appendices/provenance")
    runs, faces, kept, shown = (raw.astext() for raw in tree.findall(nodes.raw))
    rows = runs.split("<tr>")[2:]
    assert len(rows) == 2 and one.name in rows[0] and two.name in rows[1]
    assert rows[0].index("b.html") < rows[0].index("a.html") and "a.html" not in rows[1]
    assert '">7</a>' in rows[1] and "Chapter B" not in rows[1] and '">Chapter A</a>' in rows[0]  # short, or it is wide
    assert runs.startswith('<div class="rifr-scrolls"><table')
    assert faces.count("<tr>") == 2 and "48 of 6 people" in faces and "used no record" in kept
    assert "a.html#made-by-2" in shown and shown.index("7 Chapter B: ") < shown.index("First.")
    extension.forget(app, app.env, "a")
    extension.fill(app, tree := new_document("appendix"), "appendices/provenance")
    assert list(app.env.rifr_made_by) == ["b"]


def test_a_page_links_to_functions_that_have_documentation_and_to_the_rows_of_runs(extension, store):
    path = run("hr+lr", "9" * 64)
    body = show(empty, alt="a", caption="c")._repr_html_() + '<code class="rifr-call">rifr.losses.kl</code>'
    app = app_of({"rifr.losses.kl": SimpleNamespace(docname="api", node_id="kl")}, {"appendices/provenance": "P"})
    context = {"body": body + '<code class="rifr-call">rifr.none</code>'}
    extension.link(app, "a", "page.html", context, None)
    assert 'href="api.html#kl"' in context["body"] and context["body"].endswith(
        '<code class="rifr-call">rifr.none</code>'
    )
    address = extension.address(path.name)
    assert f'href="appendices/provenance.html#{address}"' in context["body"] and re.fullmatch(r"[\w-]+", address)
    assert f'id="{address}"' in extension._named(path.name)
    app.env.found_docs = {"index"}  # the book of a batch has no appendix
    context = {"body": body}
    extension.link(app, "a", "page.html", context, None)
    assert "appendices/provenance" not in context["body"]
