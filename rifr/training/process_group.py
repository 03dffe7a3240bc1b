"""One process or many: who this process is among those that train one network together.

    python -m rifr train --preset paper                                      one process, one device
    torchrun --nproc-per-node 4 -m rifr train --preset paper                 four GPUs of one machine
    srun torchrun --nnodes $SLURM_NNODES --nproc-per-node 4 ...              several machines; the appendix has it whole

Each process holds the whole network and an equal share of every batch; gradients are averaged (DDP), and batch
normalisation sees the whole batch, so that many processes take the step that one would take.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from rifr import devices, storage
from rifr.errors import StorageError
from rifr.networks import AnyNetwork

__all__ = [
    "CPUSyncBatchNorm",
    "convert_sync_batchnorm",
    "fabric",
    "fast_arithmetic",
    "is_rank_zero",
    "rank",
    "rank_zero_creates",
    "size",
]

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says at every start which precision it uses
logging.getLogger("lightning.fabric").setLevel(logging.WARNING)

COLLECTIVE_TIMEOUT = timedelta(days=1)
"""How long processes wait for one another: the first may wait for a lock, render, or evaluate."""


def size() -> int:
    """How many processes train together: what torchrun says, else 1."""
    return int(os.environ.get("WORLD_SIZE", 1)) if TorchElasticEnvironment.detect() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def is_rank_zero() -> bool:
    """Whether this process is the one that writes and reports."""
    return rank() == 0


def fabric(precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true") -> Fabric:
    """Lightning Fabric on this process's device, connected with the other processes where there are any."""
    accelerator = devices.device().type
    if size() == 1:  # whatever scheduler started it
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[LightningEnvironment()])
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    strategy = DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),
        timeout=COLLECTIVE_TIMEOUT,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )
    connected = Fabric(
        accelerator=accelerator, strategy=strategy, devices=local, num_nodes=size() // local, precision=precision
    )
    connected.launch()
    return connected


@contextlib.contextmanager
def fast_arithmetic(device: torch.device) -> Iterator[None]:
    """On a GPU within the block: cuDNN's fastest kernels, for shapes never change, and TF32 for float32 products.

    Outside autocast these are the softmax layer's. After the block both settings are as they were.
    """
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(precision)


@contextlib.contextmanager
def rank_zero_creates(path: Path, together: Fabric) -> Iterator[bool]:
    """Whether `path` is still to be made, the same answer in every process; rank 0 holds its lock in the block.

    Raises
    ------
    StorageError
        Where the processes do not see one store.
    """
    found = together.broadcast(path.exists())  # it is read without a lock: a store may be closed to writing
    with storage.lock(path) if is_rank_zero() and not found else contextlib.nullcontext():
        exists = found or together.broadcast(path.exists())
        if exists and not path.exists():
            raise StorageError(
                f"{path} is there for the first process and not for process {rank()}: the store must lie "
                f"where all machines see it; set RIFR_STORE to such a folder."
            )
        yield not exists
        together.barrier()


def convert_sync_batchnorm(module: AnyNetwork, device: torch.device) -> AnyNetwork:
    """The module with batch normalisation over all processes' rows; unchanged for a single process."""
    if size() == 1:
        return module
    if device.type == "cuda":
        return cast(AnyNetwork, nn.SyncBatchNorm.convert_sync_batchnorm(module))
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = CPUSyncBatchNorm(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm)
        else:
            convert_sync_batchnorm(child, device)
    return module


class CPUSyncBatchNorm(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for processes on CPUs, which PyTorch's own refuses; every process has as many rows."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of each process -> the same, by the mean and the variance over all processes."""
        if not self.training:
            return super().forward(x)
        places = (0, 2, 3)
        world = torch.distributed.get_world_size()
        mean = all_reduce(x.mean(places)) / world  # (C,)
        centred = x - mean[:, None, None]
        variance = all_reduce(centred.square().mean(places)) / world  # (C,)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            count = world * x[:, 0].numel()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]
