"""Embedding: from many genes to a few components."""

from ._autoencoder import AutoencoderEmbedder

__all__ = ["AutoencoderEmbedder"]
