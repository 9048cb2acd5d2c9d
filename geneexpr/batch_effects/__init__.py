"""Batch effects: learned on training samples, frozen, applied to new ones."""

from ._combat import ComBatCorrector

__all__ = ["ComBatCorrector"]
