"""A training step of ResNet-34 on a GPU, without reading photos: `kernels.py [--out FILE]`.

Forward in bf16, equation (3), backward and the optimiser's step, of rows at 112 px that lie on the GPU. As PyTorch runs
it, compiled (`compile=True`), and compiled with all kernels replayed as one graph, which is what a training of one GPU
asks for; beside them the network without batch normalisation, ReLU and dropout, which is no network but says what its
convolutions take. Each is held against a bf16 matrix product on the same GPU.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from training import matrix_peak

from rifr import losses, networks
from rifr.report import records

CLASSES, ROWS = 2000, (128, 256, 512)
WARM, TIMED, TIMES = 12, 30, 3
MODES: dict[str, dict[str, Any] | None] = {
    "as PyTorch runs it": None,
    "compiled": {"dynamic": False},
    "compiled, one graph": {"dynamic": False, "mode": "reduce-overhead"},
    "convolutions alone": None,
}


def network_of(mode: str, device: torch.device) -> nn.Module:
    """ResNet-34 in training, as the mode has it."""
    torch.manual_seed(0)
    network = networks.resnet34()
    if mode == "convolutions alone":
        for part in list(network.modules()):
            for name, child in list(part.named_children()):
                if isinstance(child, (nn.BatchNorm2d, nn.ReLU, nn.Dropout)):
                    setattr(part, name, nn.Identity())
    network = networks.channels_last(network, device).train()
    if (options := MODES[mode]) is not None:
        network.compile(**options)
    return network


def step_of(network: nn.Module, rows: int, device: torch.device) -> Callable[[], None]:
    """A step of the proposed method that asks no teacher."""
    w = torch.randn(CLASSES, 512, device=device).mul_(0.01).requires_grad_()
    optimiser = torch.optim.SGD([*network.parameters(), w], 0.01, 0.9, weight_decay=1e-4, fused=device.type == "cuda")
    images = torch.randint(0, 256, (rows, 112, 112, 3), dtype=torch.uint8, device=device)
    z_teacher = torch.randn(rows, 512, device=device)
    q = torch.softmax(5 * torch.randn(rows, CLASSES, device=device), 1)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            z: Tensor = network(networks.to_input(images))
        losses.shared_softmax_loss(z.float(), z_teacher, w, q).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def seconds_of(step: Callable[[], None], timed: int, device: torch.device) -> tuple[float, float]:
    """Seconds of a step, and those after which the host has asked for it: the median of several times."""
    found = []
    for _ in range(TIMES):
        start = time.perf_counter()
        for _ in range(timed):
            step()
        asked = time.perf_counter() - start
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(((time.perf_counter() - start) / timed, asked / timed))
    return statistics.median(one for one, _ in found), statistics.median(one for _, one in found)


def measured(mode: str, rows: int, device: torch.device, peak: float, warm: int = WARM, timed: int = TIMED) -> dict:
    """A row of the record."""
    torch._dynamo.reset()
    step = step_of(network_of(mode, device), rows, device)
    for _ in range(warm):
        step()
    seconds, asked = seconds_of(step, timed, device)
    work = 6 * networks.count(networks.resnet34()).multiplies * rows / seconds  # forward, and twice that backward
    milliseconds = {"milliseconds": round(1e3 * seconds, 2), "host": round(1e3 * asked, 2)}
    return {"mode": mode, "rows": rows, **milliseconds, "images": round(rows / seconds), "share": round(work / peak, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="default: the book's record gpu.json, where there is a GPU")
    out = parser.parse_args().out
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    peak = matrix_peak() if on_gpu else 1e12
    modes = [mode for mode, options in MODES.items() if on_gpu or options is None]  # without a GPU: a trial
    found = []
    for mode, rows in itertools.product(modes, ROWS if on_gpu else (2,)):
        found.append(measured(mode, rows, device, peak, *(() if on_gpu else (1, 1))))
        print(*(f"{name} {value}" for name, value in found[-1].items()), sep="  ", flush=True)
    out = out or (records.folder() / "gpu.json" if on_gpu else None)
    if out:
        about = {"device": torch.cuda.get_device_name() if on_gpu else "cpu", "peak_tflops": round(peak / 1e12, 1)}
        about["times"] = TIMES
        records.write(out, {"provenance": records.provenance() | about, "rows": found})


if __name__ == "__main__":
    main()
