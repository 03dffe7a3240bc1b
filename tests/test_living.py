"""The living page: what it is told, and that a browser answers as the library does."""

import base64
import gzip
import html
import http.server
import json
import queue
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

import rifr
from rifr import align, degrade, landmarks, networks, presets
from rifr.align import TEMPLATE
from rifr.errors import DataError, SettingError, StorageError
from rifr.report import living, pdf
from rifr.splits import FaceSplits
from tests.helpers import TINY, easy_faces
from tests.test_tarballs import integrity, tarball

STATIC = Path(__file__).resolve().parent.parent / "book" / "_static"
PARTS = {f"package/{part}": f"// {name}".encode() for name, part in living.PARTS.items()}


@pytest.fixture
def faces(tmp_path):
    train, probes, distractors = (easy_faces(tmp_path / name, 10, 4, seed) for seed, name in enumerate("abc"))
    return FaceSplits(train, probes, distractors.take(np.arange(0, 40, 4)))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that puts a small tarball in place of the runtime's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RIFR_ASSETS", str(tmp_path))

    def lay(files):
        content = tarball(files)
        (tmp_path / living.RUNTIME.file).write_bytes(content)
        monkeypatch.setattr(living, "RUNTIME", replace(living.RUNTIME, integrity=integrity(content)))

    return lay


def a_finder(seed: int = 0) -> SimpleNamespace:
    """In place of a run: an untrained landmark network, which answers near the template by the picture."""
    torch.manual_seed(seed)
    network = landmarks.Cnn6(4).eval()
    return SimpleNamespace(path=Path(f"finder-{seed}"), network=lambda: network)


def script(path: Path) -> dict:
    return json.loads(path.read_text().split("=", 1)[1].rstrip(";\n"))


def trained(network: torch.nn.Module) -> torch.nn.Module:
    """A network whose running means are those of a training."""
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(part.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("embedding", [16, 128])
def test_a_network_as_onnx_gives_what_it_gave(embedding):
    torch.manual_seed(embedding)
    network = trained(networks.thin(embedding))
    session = onnxruntime.InferenceSession(living.to_onnx(network))
    for x in torch.rand(4, 1, 3, 112, 112) * 2 - 1:
        (z,) = session.run(["z"], {"x": x.numpy()})
        assert np.abs(z - network(x).detach().numpy()).max() < 1e-4 * float(network(x).detach().abs().max())


def test_the_probes_are_other_photos_of_people_in_the_gallery_and_the_others_are_distractors(faces):
    chosen = living.choose(faces, living.Plan(people=5, others=6))
    images = {image.tobytes(): name for image, name in zip(faces.probes.images, faces.probes.identities, strict=True)}
    beside = {image.tobytes() for image in faces.distractors.images}
    assert len(chosen.probes) == 5 and len(chosen.gallery) == 11
    for probe, right in zip(chosen.probes, chosen.right, strict=True):
        assert images[probe.tobytes()] == images[chosen.gallery[right].tobytes()]
        assert not np.array_equal(probe, chosen.gallery[right])
    assert len({images[chosen.gallery[right].tobytes()] for right in chosen.right}) == 5
    assert all(image.tobytes() in beside for image in chosen.gallery[5:])
    everybody = living.choose(faces, living.Plan(people=50, others=60))
    assert len(everybody.probes) == 10 and len(everybody.gallery) == 20


def test_the_runtime_is_read_once_from_the_pinned_package_and_kept_as_a_script(package, tmp_path):
    package(PARTS)
    path = living.runtime(progress=False)
    told = script(path)
    assert told["main"] == "// main" and told["glue"] == "// glue"
    assert gzip.decompress(base64.b64decode(told["compiled"])) == b"// compiled"
    (tmp_path / living.RUNTIME.file).unlink()
    assert living.runtime(progress=False) == path


def test_a_package_without_a_part_is_named_and_a_page_without_a_runtime_says_why(package, tmp_path, faces):
    package({"package/dist/ort.wasm.min.mjs": b"//"})
    with pytest.raises(DataError, match=r"lacks dist/ort-wasm-simd-threaded\.mjs"):
        living.runtime(progress=False)
    (tmp_path / living.RUNTIME.file).unlink()
    shown = living.page({}, faces, a_finder(), progress=False)
    assert not shown.files and f"{living.RUNTIME.file} is missing" in html.unescape(shown._repr_html_())


def test_what_built_pages_name_is_copied_beside_them(package, tmp_path, store_folder):
    package(PARTS)
    name, site = living.runtime(progress=False).name, tmp_path / "site"
    (store_folder / living.KIND).mkdir(parents=True)
    (store_folder / living.KIND / "faces-1.js").write_text("window.rifrFaces={}")
    site.mkdir()
    (site / "a.html").write_text(living.Living((name, "faces-1.js"))._repr_html_())
    (site / "b.html").write_text("<p>nothing</p>")
    (site / "_static" / "living").mkdir(parents=True)
    (site / "_static" / "living" / "faces-0.js").write_text("of an earlier build")
    assert living.copied(site) == ["faces-1.js", name]
    assert (site / "_static" / "living" / "faces-1.js").read_text() == "window.rifrFaces={}"
    assert script(site / "_static" / "living" / name)["main"] == "// main"
    assert not (site / "_static" / "living" / "faces-0.js").exists()
    (store_folder / living.KIND / "faces-1.js").unlink()
    with pytest.raises(StorageError, match=r"faces-1\.js, .* \(make clean\)"):
        living.copied(site)


# in a browser ---------------------------------------------------------------------------------------------------------


OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A camera that films a test picture, and a reader who allows it."""


def a_page(folder: Path, files: tuple[str, ...], code: str, body: str = "") -> Path:
    """A page in `folder` that holds `body` and says what `code` returns, the body of an async function of `rifrLiving`
    and the started page, which may wait `until` something holds; one that is served sends it to its server, too."""
    place = living.Living(files)._repr_html_() if files else ""
    page = f"""<!doctype html><meta charset="utf-8">{place}{body}
        <script src="_static/living.js"></script><pre id="found"></pre><script>
        const say = (text) => {{
          document.getElementById("found").textContent = text;
          if (location.protocol !== "file:") fetch("found", {{method: "POST", body: text}});
        }};
        window.addEventListener("DOMContentLoaded", async () => {{
          const app = rifrLiving;
          const until = async (holds) => {{ while (!holds()) await new Promise((done) => setTimeout(done, 20)); }};
          try {{ say(JSON.stringify(await (async (page) => {{ {code} }})(await app.started))); }}
          catch (error) {{ say(JSON.stringify({{error: String(error.stack)}})); }}
        }});</script>"""
    (folder / "page.html").write_text(page)
    (folder / "_static").mkdir(exist_ok=True)
    for script in STATIC.glob("*.js"):
        shutil.copy(script, folder / "_static")
    return folder / "page.html"


def answered(found: Any) -> Any:
    assert not (isinstance(found, dict) and "error" in found), found["error"]
    return found


def in_browser(folder: Path, files: tuple[str, ...], code: str, body: str = "") -> Any:
    """What `a_page` says that is opened from disk."""
    page = a_page(folder, files, code, body)
    options = [*OPTIONS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=100000000", "--dump-dom"]
    done = subprocess.run([pdf.browser(), *options, page.as_uri()], capture_output=True, text=True, timeout=300)
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    return answered(json.loads(html.unescape(text[1])) if text and text[1] else {"error": done.stderr[-500:]})


def served_to_browser(folder: Path, code: str, body: str = "", options: tuple[str, ...] = ()) -> Any:
    """What `a_page` says that is served from this machine: as time goes, for cameras and frames do not hurry."""
    a_page(folder, (), code, body)
    found: queue.Queue[Any] = queue.Queue()

    class Server(http.server.SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not into the output of the tests."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/page.html"
        more = [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", *options]
        with subprocess.Popen([pdf.browser(), *OPTIONS, *more, address], stderr=subprocess.DEVNULL) as browser:
            try:
                return answered(found.get(timeout=60))
            finally:
                browser.kill()
                server.shutdown()


def _browser() -> str:
    try:
        return pdf.browser()
    except SettingError:
        return ""


needs_browser = pytest.mark.skipif(not _browser(), reason="needs Chromium: no browser is installed")


@pytest.fixture
def real_runtime():
    try:
        return living.runtime(progress=False)
    except DataError as error:
        pytest.skip(f"needs {living.RUNTIME}: {error}")


@needs_browser
def test_the_browser_shrinks_and_aligns_as_the_library_does(tmp_path):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)
    faces = [smooth, rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)]
    pictures = [cv2.resize(smooth, (150, 130)), cv2.resize(smooth, (450, 390))]
    points = TEMPLATE @ np.array([[0.9, 0.2], [-0.2, 0.9]]) + [30, 10] + rng.normal(0, 1, (5, 2))
    told = [
        {
            "width": picture.shape[1],
            "height": picture.shape[0],
            "data": np.dstack([picture, picture[..., 0]]).ravel().tolist(),
        }
        for picture in pictures
    ]
    found = in_browser(
        tmp_path,
        (),
        f"""const faces = {[face.ravel().tolist() for face in faces]}, widths = [8, 16, 20, 61];
        const cut = (picture, size) =>
          app.align(picture, {points.tolist()}.map(([x, y]) => [size * x, size * y]), {TEMPLATE.tolist()});
        return {{small: faces.map((face) => widths.map((width) => Array.from(app.toWidth(face, width)))),
          same: faces[0].every((value, i) => app.toWidth(faces[0], 112)[i] === value),
          aligned: {json.dumps(told)}.map((picture, n) => Array.from(cut(picture, 1 + 2 * n)))}};""",
    )
    for face, small in zip(faces, found["small"], strict=True):
        for width, image in zip((8, 16, 20, 61), small, strict=True):
            expected = degrade.to_width(face, width).astype(int)
            assert np.abs(np.reshape(image, (112, 112, 3)) - expected).max() <= 1
    assert found["same"] is True
    for picture, size, cut in zip(pictures, (1, 3), found["aligned"], strict=True):
        expected = align.face(picture, (size * points).astype(np.float32)).astype(int)
        assert np.abs(np.reshape(cut, (112, 112, 3)) - expected)[2:-2, 2:-2].mean() < 1.5


@needs_browser
@pytest.mark.slow
def test_the_browser_ranks_the_gallery_and_finds_landmarks_as_the_library_does(
    tmp_path, monkeypatch, faces, real_runtime
):
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    plan = living.Plan(people=10, others=8, widths=(10, 16, 30, 112))
    runs = {name: rifr.fit(name, presets.get(TINY), 0, faces.train, progress=False) for name in ("hr-only", "hr+lr")}
    written = living.content(runs, faces, a_finder(), plan)
    target = tmp_path / "_static" / "living"
    target.mkdir(parents=True)
    for file in (real_runtime, written):
        shutil.copy(file, target)
    picture = cv2.resize(np.asarray(faces.probes.images[0]), (300, 260))
    rough = TEMPLATE * 1.8 + [50, 30] + np.random.default_rng(1).normal(0, 4, (5, 2))
    alpha = np.dstack([picture, picture[..., 0]])
    found = in_browser(
        tmp_path,
        (real_runtime.name, written.name),
        """const found = [];
        for (const protocol of ["P1", "P2"]) for (const width of page.faces.widths) for (const face of page.probes)
          found.push((await app.ask(page, face, width, protocol)).answers);
        """
        + f"""const picture = {{width: 300, height: 260, data: {alpha.ravel().tolist()}}};
        return [found, await app.find(page, picture, {rough.tolist()})];""",
    )
    found, points = found
    (box,) = landmarks.boxes_of(rough[None])
    square, matrix = landmarks.cut(picture, box[:2], landmarks.CROP_SCALE * box[2])
    with torch.inference_mode():
        inside = a_finder().network()(networks.to_input(torch.from_numpy(square[None])))[0].numpy()
    expected = np.linalg.solve(matrix[:, :2], (inside - matrix[:, 2]).T).T
    assert np.abs(points - expected).max() < 1.5 and np.abs(expected - rough).max() > 3
    chosen, place = living.choose(faces, plan), 0
    assert len(found) == 2 * 4 * len(chosen.probes)
    for protocol in ("P1", "P2"):
        for width in plan.widths:
            for probe in degrade.to_width(chosen.probes, width):
                for run, answer in zip(runs.values(), found[place], strict=True):
                    gallery = chosen.gallery if protocol == "P2" else degrade.to_width(chosen.gallery, width)
                    z, rows = run.embedder()(probe[None])[0], run.embedder()(gallery)
                    cosine = rows @ z / np.linalg.norm(rows, axis=1) / np.linalg.norm(z)
                    seen = np.array([one["cosine"] for one in answer]), [one["place"] for one in answer]
                    assert np.abs(seen[0] - cosine[seen[1]]).max() < 5e-3  # a grey level may differ
                    assert sorted(seen[1]) == list(range(len(gallery))) and (np.diff(seen[0]) <= 0).all()
                    clear = np.sort(cosine)[-1] - np.sort(cosine)[-2] > 1e-2
                    assert seen[1][0] == np.argmax(cosine) or not clear
                place += 1


CAMERA = """
    const said = document.createElement("p"), taken = [], canvas = document.createElement("canvas");
    const [button, video] = app.camera(async (source) => taken.push(await createImageBitmap(source)), said).children;
    button.click();
    await until(() => !button.disabled && (said.textContent || !video.hidden));
    if (said.textContent) return {said: said.textContent, label: button.textContent, hidden: video.hidden};
    const asked = button.textContent, track = video.srcObject.getVideoTracks()[0];
    button.click();
    await until(() => video.hidden);
    const [width, height] = [taken[0].width, taken[0].height];
    Object.assign(canvas, {width, height});
    canvas.getContext("2d").drawImage(taken[0], 0, 0);
    const seen = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return {taken: taken.length, width, height, colours: new Set(new Uint32Array(seen.buffer)).size, asked,
      label: button.textContent, track: track.readyState};
"""


@needs_browser
def test_the_camera_shows_its_picture_gives_it_at_the_second_click_and_is_let_go(tmp_path):
    found = served_to_browser(tmp_path, CAMERA, options=FAKE)
    assert found["taken"] == 1 and min(found["width"], found["height"]) >= 240 and found["colours"] > 2
    assert (found["asked"], found["label"], found["track"]) == ("Take the picture", "Use the camera", "ended")


@needs_browser
def test_a_camera_that_is_not_there_is_told(tmp_path):
    found = served_to_browser(tmp_path, CAMERA)
    assert found["said"].startswith("The camera cannot be used: ") and found["said"].endswith("or choose a file.")
    assert found["label"] == "Use the camera" and found["hidden"]
