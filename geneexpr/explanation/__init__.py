"""What a model has learned: gene sets behind it, genes that are known, genes that are stable."""

from ._explain import explain
from ._explanation import Explanation
from ._gene_set_scorer import GeneSetScorer
from ._instance import InstanceExplanation, explain_instance
from ._integrated_gradients import integrated_gradients
from ._over_representation import over_representation
from ._permutation_importance import grouped_permutation_importance
from ._ranked_enrichment import ranked_enrichment
from ._signature import validate_signature
from ._signature_stability import SignatureStability, signature_stability
from ._stability_selector import StabilitySelector

__all__ = [
    "Explanation",
    "GeneSetScorer",
    "InstanceExplanation",
    "SignatureStability",
    "StabilitySelector",
    "explain",
    "explain_instance",
    "grouped_permutation_importance",
    "integrated_gradients",
    "over_representation",
    "ranked_enrichment",
    "signature_stability",
    "validate_signature",
]
