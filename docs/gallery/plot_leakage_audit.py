"""
Can this score be believed? The leakage audit
=============================================

Two sites, and most cases were sampled at one of them. Expression holds **no** signal of the
class at all. A corrector that protects the outcome still makes a classifier look good,
because it writes the outcome into the data. `leakage_audit` finds that out.
"""

# %%
# A cohort without any effect of the class, but 80 % of the cases at the second site.
import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    LeakageAuditDisplay,
    LogTransformer,
    ToArray,
    leakage_audit,
    make_cohort,
)

mixes = [[0.8, 0.2], [0.2, 0.8]]
options = {"batch_location": 0.8, "random_state": 0}
empty = make_cohort(160, 400, n_batches=2, effect_size=0.0, class_proportions=mixes, **options)


def audit(cohort, **how):
    """Audit a whole pipeline: everything that learns is inside."""
    model = make_pipeline(
        CPMNormalizer(),
        LogTransformer(),
        ComBatCorrector(batch_key="batch", **how),
        ToArray(),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1000),
    )
    return leakage_audit(model, cohort, cohort.obs["condition"], batch_key="batch", cv=3)


# %%
# The mistake: the outcome as a covariate of the correction. geneexpr refuses that unless one
# insists.
try:
    audit(empty, covariate_keys=["condition"])
except ValueError as error:
    print(error)

# %%
# One insists, and gets a score that looks like a finding. The audit says what it is worth.
manufactured = audit(empty, covariate_keys=["condition"], allow_outcome=True)
print(manufactured)

# %%
# In the figure the pooled score (large point) lies among those of shuffled labels (grey):
# the same score comes out where there is nothing to be learned. In red the step at fault.
LeakageAuditDisplay.from_audit(manufactured)
plt.show()

# %%
# The same data without the mistake: no signal, and none is claimed.
print(audit(empty, unseen_batch="estimate").verdict)

# %%
# And a cohort with a true effect, evenly spread over three sites. The three scores agree, and
# they are far from those of shuffled labels. The note says for whom the last score holds.
real = make_cohort(180, 400, n_batches=3, effect_size=0.4, **options)
honest = audit(real, unseen_batch="estimate")
print(honest)
LeakageAuditDisplay.from_audit(honest)
plt.show()
