"""What a process that trains asks of the machine."""

import ctypes
import os

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Has glibc keep memory that was freed, up to a gigabyte, instead of giving it back to the kernel.

    Every training step frees its activations and asks for as much again. By default glibc hands large pieces to the
    kernel each time, and the kernel then fills them with zeros page by page. False where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    settings = {M_TRIM_THRESHOLD: 1 << 30, M_TOP_PAD: 1 << 24, M_MMAP_THRESHOLD: 1 << 30}
    return all(bool(mallopt(name, value)) for name, value in settings.items())


def ask_torch_for_gpus() -> None:
    """Has `torch.cuda.is_available` ask CUDA again, which Lightning has it ask NVML instead. Optimisers want to know it
    at every step, and on a machine without NVML a search for that library costs more than a step of a small Adam."""
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def apple_gpu() -> bool:
    """Whether there is an Apple GPU that torch and Lightning can use."""
    from lightning.pytorch.accelerators import MPSAccelerator

    return MPSAccelerator.is_available()


def usable_cores() -> int:
    """The cores that this process may use; all of the machine where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Has torch, and the linear algebra of NumPy and scikit-learn, compute with `count` threads from now on."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    threadpool_limits(count)
