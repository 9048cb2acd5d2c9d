"""
A heatmap with annotations of the samples
=========================================

The genes that vary most, clustered, under the class and the batch of each sample: what the
samples are grouped by before anything is corrected.
"""

from geneexpr import CPMNormalizer, HeatmapDisplay, LogTransformer, make_cohort

cohort = make_cohort(48, 2000, n_batches=3, random_state=0)
logged = LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))
HeatmapDisplay.from_data(logged, genes=40, sample_annotations=["condition", "batch"])

# %%
# The samples are grouped by their batch, not by their class: see `ComBatCorrector`.
#
# Of many genes as many are named as there is room for, and the axis says how many. Name those
# that matter with ``label_genes``.

genes = logged.var_names[:1500].tolist()
HeatmapDisplay.from_data(logged, genes=genes, sample_annotations="batch")
