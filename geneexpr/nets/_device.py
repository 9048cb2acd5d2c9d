"""Choice of device."""

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(device, dtype=torch.float32):
    """Return the device that a network is to run on.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"} or str
        "auto" takes CUDA where there is one, Apple's MPS for float32 (it has no float64),
        else the CPU. ``"cuda:1"`` names one of several.
    dtype : torch.dtype
        Of the values.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the device is unknown, not there, or cannot compute in ``dtype``.
    """
    mps = torch.backends.mps.is_available()
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if mps and dtype == torch.float32 else "cpu"
    kind = str(device).partition(":")[0]
    if kind not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(map(repr, DEVICES))}; got {device!r}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError('device="cuda" was asked for, but PyTorch finds none; use device="auto".')
    if kind == "mps" and not mps:
        raise ValueError('device="mps" was asked for, but PyTorch finds none; use device="auto".')
    if kind == "mps" and dtype != torch.float32:
        raise ValueError('device="mps" computes in float32 only; give X as float32.')
    return str(device)
