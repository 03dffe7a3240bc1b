"""What can be known of the image without building it: its parts exist, its versions are the pinned ones, its size."""

import re
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CUDA = re.compile(r"^(nvidia|cuda|triton)")
CUDA_OF_TORCH = re.compile(r"torch/lib/lib[^/]*(cuda|nvshmem)[^/]*$")


def test_the_image_has_the_pinned_pytorch_and_python_and_extras_that_exist():
    pinned = re.findall(r"^(torch(?:vision)?==\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert len(pinned) == 2 and re.findall(r"torch(?:vision)?==\S+", DOCKERFILE) == pinned
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.search(r"--editable '\.\[([\w,]+)\]'", DOCKERFILE)[1].split(",")
    assert set(extras) <= set(project["optional-dependencies"]) and "book" in extras
    python = re.search(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.M)[1]
    assert f"python={python}" in (ROOT / "environment.yml").read_text()


def test_make_takes_the_environment_of_the_image():
    makefile = (ROOT / "Makefile").read_text()
    venv = re.search(r"^VENV := (\S+)$", makefile, re.M)[1]
    ready = re.search(r"^READY := (\S+)$", makefile, re.M)[1].replace("$(VENV)", venv)
    assert f"python -m venv {venv}" in DOCKERFILE and f"touch {ready}" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {venv, "store", "book/_build", "book/_cache"} <= set(ignored)


def test_every_step_is_joined_and_the_last_user_is_not_root():
    steps = re.sub(r"\\\n", " ", DOCKERFILE)
    words = [line.split()[0] for line in steps.splitlines() if line.strip() and not line.startswith("#")]
    assert set(words) <= {"FROM", "RUN", "ARG", "ENV", "WORKDIR", "COPY", "USER", "CMD"}
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.M) == ["${NB_USER}"]
    assert words[-1] == "CMD"


@pytest.mark.slow
def test_what_the_image_installs_is_under_four_gigabytes():
    """The packages that lie here, without CUDA, are those of the image and the tests' own besides."""
    if not any(CUDA.match(name) for name in distribution("torch").requires or ()):
        pytest.skip("another kind of PyTorch lies here")
    size = 0
    for package in distributions():
        if not CUDA.match(package.metadata["Name"].lower()):
            files = [Path(str(package.locate_file(file))) for file in package.files or ()]
            size += sum(file.stat().st_size for file in files if file.is_file() and not CUDA_OF_TORCH.search(str(file)))
    base, jupyter = 0.2e9, 0.2e9  # Debian with Python, git and make; JupyterLab and JupyterHub
    assert 1e9 < size + base + jupyter < 4e9
