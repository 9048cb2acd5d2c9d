"""A transformer that subtracts each gene's training mean."""

import operator

import numpy as np

from geneexpr.base import GeneTransformer, fold


class GeneCenterer(GeneTransformer):
    """Subtract from every gene its mean over the training samples."""

    def fit(self, X, y=None):
        matrix = self._check(X, reset=True)
        self.mean_ = fold(matrix, gene_sums, operator.add) / matrix.shape[0]
        return self

    def transform(self, X):
        matrix = self._check(X)
        return self._map(X, matrix, lambda block: dense(block) - self.mean_, sparse=False)


def gene_sums(block):
    return np.asarray(block.sum(axis=0)).ravel()


def dense(block):
    return block.toarray() if hasattr(block, "toarray") else block
