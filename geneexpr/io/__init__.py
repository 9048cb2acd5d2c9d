"""Files: expression data on disk, and fitted models."""

from ._zarr import open_zarr, write_zarr

__all__ = ["open_zarr", "write_zarr"]
