"""What several tests need: small packs of faces, and the real faces where they are at hand."""

import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny networks gain nothing from a second thread, and
# two threads on one free core wait for each other most of the time
import numpy as np
import pytest

from rifr.packs import FacePack

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job: children would never hear of Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def real_data() -> Path:
    """The folder of small real-face sets; the test is skipped where it is missing."""
    folder = os.environ.get("RIFR_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real faces: set RIFR_REAL_DATA to the folder that holds lfw112, facescrub12 and models")
    return Path(folder)


@pytest.fixture
def store_folder(tmp_path, monkeypatch) -> Path:
    """A store of the test's own."""
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def easy_faces(path: Path, people: int = 6, images: int = 8, seed: int = 0) -> FacePack:
    """A pack that a network can learn in seconds: each person is a smooth pattern of their own under noise."""
    draw = np.random.default_rng(seed)
    patterns = np.kron(draw.uniform(40, 215, (people, 7, 7, 3)), np.ones((1, 16, 16, 1)))
    shots = patterns.repeat(images, 0) + draw.normal(0, 12, (people * images, 112, 112, 3))
    names = [f"person-{i:03d}" for i in range(people) for _ in range(images)]
    return FacePack.write(path, shots.clip(0, 255).astype(np.uint8), names, source="patterns", licence="CC0")
