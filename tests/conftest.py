"""What several tests need: small packs of faces, and the real faces where they are at hand."""

import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny networks gain nothing from a second thread, and
# two threads on one free core wait for each other most of the time
import pytest

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


@pytest.fixture(scope="session")
def model():
    """The head of all rendered people."""
    from rifr.faces import head

    return head.load(progress=False)


@pytest.fixture(scope="session")
def made():
    """The skins, meshes and skies that they wear."""
    from rifr.faces import assets

    return assets.load(progress=False)
