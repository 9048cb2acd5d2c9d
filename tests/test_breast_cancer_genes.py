"""What is found on breast cancer is what is known of it: 246 tumours of expO, ER status.

The study has the 638 genes of published signatures only, so overlaps with these are beside a
universe that is rich in them.
"""

import numpy as np
import pandas as pd
import pytest

from geneexpr import (
    differential_expression,
    over_representation,
    ranked_enrichment,
    read_gmt,
    validate_signature,
)


@pytest.fixture(scope="module")
def tumours(shared):
    """Return log expression by gene symbol (of several probes the strongest) and ER status."""
    folder = shared / "data" / "breast_cancer_3studies_genefu"
    expression = pd.read_csv(folder / "expos_expr.csv.gz", index_col=0).T
    clinical = pd.read_csv(folder / "expos_clinical.csv.gz", index_col=0)
    probes = pd.read_csv(folder / "expos_probes.csv.gz", index_col="probe_id")
    strongest = expression.mean().sort_values(ascending=False, kind="stable").index
    symbols = probes["HUGO.gene.symbol"].reindex(strongest).dropna().drop_duplicates()
    expression = expression[symbols.index].set_axis(symbols.to_list(), axis=1)
    status = clinical["er"].reindex(expression.index)
    known = status.notna().to_numpy()
    return expression[known], np.where(status[known] == 1, "positive", "negative")


@pytest.fixture(scope="module")
def table(tumours):
    return differential_expression(*tumours, reference="negative")


@pytest.fixture(scope="module")
def hallmarks(shared):
    return read_gmt(shared / "data" / "gene_sets" / "h.all.v7.0.symbols.gmt.gz")


def test_the_receptor_itself_comes_first(table):
    assert table["p_value"].idxmin() == "ESR1"


def test_chosen_genes_overlap_with_published_signatures(table, shared):
    folder = shared / "data" / "cancer_biomarkers"
    columns = {
        "pam50_centroids": 0,
        "sig.gene70": "HUGO.gene.symbol",
        "sig.gene76": "HUGO.gene.symbol",
    }
    reference = {}
    for file, column in columns.items():
        read = pd.read_csv(folder / f"{file}.csv", index_col=column)
        reference[file.removeprefix("sig.")] = read.index.dropna().unique()
    chosen = table.sort_values("p_value").index[:40]
    found = validate_signature(
        chosen, reference, universe=table, mean_expression=table["mean_expression"]
    )
    assert found["overlap"].to_dict() == {"pam50_centroids": 8, "gene70": 5, "gene76": 0}
    np.testing.assert_allclose(found["p_value"], [0.0004, 0.0020, 1], atol=5e-5)
    np.testing.assert_allclose(found["matched_p_value"], [0.0002, 0.0015, 1], atol=5e-5)
    assert "ESR1" in found.loc["pam50_centroids", "genes"]


def test_the_response_to_oestrogen_leads_and_proliferation_trails(table, hallmarks):
    found = ranked_enrichment(table, hallmarks)
    rising = found[found["normalized_score"] > 0]
    falling = found[found["normalized_score"] < 0]
    assert rising.index[0] == "HALLMARK_ESTROGEN_RESPONSE_EARLY"
    assert {"HALLMARK_G2M_CHECKPOINT", "HALLMARK_E2F_TARGETS"} <= set(falling.index[:3])
    assert rising["q_value"].iloc[0] < 0.001


def test_the_response_to_oestrogen_is_over_represented_among_rising_genes(table, hallmarks):
    rising = table.index[(table["p_adjusted"] < 0.001) & (table["log2_fold_change"] > 0)]
    found = over_representation(rising, hallmarks, universe=table, min_size=10)
    assert found.index[0] == "HALLMARK_ESTROGEN_RESPONSE_EARLY"
    assert found["p_adjusted"].iloc[0] < 1e-3
