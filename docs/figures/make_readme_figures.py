"""Make the figures of the README: python docs/figures/make_readme_figures.py.

The same code gives the same files, byte by byte, in the environment of constraints.txt.
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    HeatmapDisplay,
    LogTransformer,
    ROCIntervalDisplay,
    ShapBeeswarmDisplay,
    ToArray,
    explain,
    make_cohort,
)

FOLDER = Path(__file__).parents[1] / "images"
DPI = 100


def main(folder=FOLDER):
    """Write all figures into a folder, and return their files."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    drawings = {"heatmap": draw_heatmap, "model": draw_model}
    files = []
    for name, draw in drawings.items():
        files.append(folder / f"{name}.png")
        draw().savefig(files[-1], dpi=DPI, metadata={"Software": None})
        plt.close("all")
    return files


def logged_cohort(n_samples, n_genes, **options):
    """Return logged counts per million of a simulated cohort of three batches."""
    cohort = make_cohort(n_samples, n_genes, n_batches=3, random_state=0, **options)
    return LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))


def draw_heatmap():
    """Draw the genes that vary most in some samples."""
    logged = logged_cohort(48, 2000)
    _, ax = plt.subplots(figsize=(7.5, 6.4), layout="constrained")
    keys = ["condition", "batch"]
    return HeatmapDisplay.from_data(logged, genes=32, sample_annotations=keys, ax=ax).figure_


def draw_model():
    """Draw what a model is worth, and the genes that it goes by."""
    logged = logged_cohort(200, 600, effect_size=0.5, n_class_genes=20)
    train, test = train_test_split(
        logged, test_size=0.4, stratify=logged.obs["condition"], random_state=0
    )
    model = make_pipeline(
        ComBatCorrector(batch_key="batch"),
        ToArray(),
        StandardScaler(),
        LogisticRegression(C=0.001),
    ).fit(train, train.obs["condition"])
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    ROCIntervalDisplay.from_estimator(model, test, test.obs["condition"], ax=axes[0])
    explained = explain(model, test, background=train)
    ShapBeeswarmDisplay.from_explanation(explained, k=12, ax=axes[1])
    return figure


if __name__ == "__main__":
    for file in main():
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
