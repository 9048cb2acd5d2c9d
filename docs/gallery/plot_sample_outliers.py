"""
Samples that do not look like the others
========================================

Three samples of a simulated cohort go wrong in three ways: the genes of one are shuffled (a
file whose rows were sorted otherwise), one lost four genes in ten (degraded RNA), and one was
logged to another base. `SampleOutlierDetector` says which, and by what each is told.
"""

import numpy as np

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    SampleOutlierDetector,
    SampleQCDisplay,
    make_cohort,
)

cohort = make_cohort(48, 2000, random_state=0)
cohort = LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))

rng = np.random.default_rng(0)
cohort.X[5] = rng.permutation(cohort.X[5])
cohort.X[17] *= rng.random(2000) > 0.4
cohort.X[30] *= np.log(2)

detector = SampleOutlierDetector(random_state=0).fit(cohort)
table = detector.report(cohort)
print(table.query("outlier").round(1).to_string())

# %%
# The columns are robust standard deviations: how far a sample lies from what the others do.

SampleQCDisplay.from_estimator(detector, cohort)

# %%
# A new sample is judged on its own, by what ``fit`` stored.

new = make_cohort(60, 2000, random_state=0)[48:]
new = LogTransformer().fit_transform(CPMNormalizer().fit_transform(new))
print(detector.predict(new))
