"""Where a run computes: one process, or several that share each step through Hugging Face accelerate."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from models.training.config import InvalidRun, TrainingConfig

# How the launchers (torch's, and the usual ones of MPI) tell a process how many they started.
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


class Devices:
    """One process that computes on one device.

    Attributes:
        device: `cpu` or `cuda`.
        precision: `bf16` (autocast; weights and optimizer stay in fp32) or `fp32`.
        count: how many processes train together.
        rank: which of them this is; the first one writes the run's folder.
    """

    count, rank = 1, 0

    def __init__(self, device: str, precision: str = "auto") -> None:
        self.device = device
        self.precision = precision if precision != "auto" else ("bf16" if _has_bf16(device) else "fp32")
        if self.precision == "bf16" and not _has_bf16(device):
            raise InvalidRun("--precision bf16: this GPU does not compute in it")

    @property
    def main(self) -> bool:
        """Whether this process validates, logs and saves."""
        return self.rank == 0

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def shared(self, module: torch.nn.Module) -> torch.nn.Module:
        """`module`, such that gradients made by its forward pass are those of all processes' means."""
        return module

    def gathering(self, module: torch.nn.Module) -> AbstractContextManager[Any]:
        """Gradients made in this context are added to, and not yet averaged among the processes."""
        return nullcontext()

    def agreed(self, loss: float, seconds: float) -> tuple[float, float]:
        """The mean loss of the processes, and the main one's clock for all: decisions follow from it."""
        return loss, seconds

    def finish(self) -> None:
        """Wait for the other processes, and part."""


class Processes(Devices):
    """Several processes, each with its own batches of a step; their mean gradient is every one's."""

    def __init__(self, device: str, precision: str = "auto") -> None:
        # Here, as one process alone does not need it and starts sooner without.
        from accelerate import Accelerator, DistributedDataParallelKwargs

        super().__init__(device, precision)
        # Gradients are summed bucket by bucket, and the buckets laid out anew after the first step, except
        # where unused parameters are looked for: then sums are made in one order, also after a restart.
        wrapping = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Precision is as for one process, whatever `accelerate config` says.
        self._accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no", kwargs_handlers=[wrapping])
        self.count, self.rank = self._accelerator.num_processes, self._accelerator.process_index

    def shared(self, module: torch.nn.Module) -> torch.nn.Module:
        return self._accelerator.prepare_model(module)

    def gathering(self, module: torch.nn.Module) -> AbstractContextManager[Any]:
        return self._accelerator.no_sync(module)

    def agreed(self, loss: float, seconds: float) -> tuple[float, float]:
        values = [loss / self.count, seconds if self.main else 0.0]
        both = torch.tensor(values, dtype=torch.float64, device=self._accelerator.device)
        mean, clock = self._accelerator.reduce(both, "sum").tolist()
        return mean, clock

    def finish(self) -> None:
        self._accelerator.wait_for_everyone()
        self._accelerator.end_training()


def open_devices(config: TrainingConfig) -> Devices:
    """All processes that a launcher started, or this one. Raises InvalidRun where it started too few."""
    if started() > 1:
        return Processes(config.device, config.precision)
    if "MASTER_ADDR" in os.environ and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        raise InvalidRun(
            "accelerate launch --cpu starts several processes through MPI alone, and would train with one; "
            "give accelerate launch --multi_gpu --num_processes N … --device cpu instead"
        )
    return Devices(config.device, config.precision)


def started() -> int:
    """How many processes the launcher of this one started."""
    return max(int(os.environ.get(name, "1")) for name in _SIZES)


def _has_bf16(device: str) -> bool:
    return device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
