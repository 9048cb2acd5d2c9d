"""Files: expression data on disk, and fitted models."""

from ._models import UntrustedModelError, load_model, save_model
from ._zarr import open_zarr, write_zarr

__all__ = ["UntrustedModelError", "load_model", "open_zarr", "save_model", "write_zarr"]
