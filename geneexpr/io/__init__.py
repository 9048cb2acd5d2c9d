"""Files: expression data on disk, gene sets, and fitted models."""

from ._gmt import read_gmt
from ._models import UntrustedModelError, load_model, save_model
from ._zarr import open_zarr, write_zarr

__all__ = ["UntrustedModelError", "load_model", "open_zarr", "read_gmt", "save_model", "write_zarr"]
