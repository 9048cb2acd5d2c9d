"""What a model has learned: gene sets behind it, and genes that are known."""

from ._gene_set_scorer import GeneSetScorer
from ._over_representation import over_representation
from ._ranked_enrichment import ranked_enrichment
from ._signature import validate_signature

__all__ = ["GeneSetScorer", "over_representation", "ranked_enrichment", "validate_signature"]
