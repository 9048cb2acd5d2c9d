"""Embedding: from many genes to a few components."""

from ._autoencoder import AutoencoderEmbedder
from ._variational import VariationalAutoencoderEmbedder

__all__ = ["AutoencoderEmbedder", "VariationalAutoencoderEmbedder"]
