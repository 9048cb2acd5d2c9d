"""Sphinx configuration. The build fetches nothing, and what it makes loads nothing."""

import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import geneexpr

project = "geneexpr"
author = "The geneexpr developers"
copyright = f"2026, {author}"
version = release = geneexpr.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["_build", "demo", "gallery", "snippets"]
templates_path = ["_templates"]
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": None,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "show_memory": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "geneexpr"
html_copy_source = False
GUIDE = (
    *("batch_effects", "cross_study", "normalization", "selection", "outliers"),
    *("differential_expression", "gene_sets", "attribution", "embedding", "networks"),
    *("evaluation", "uncertainty", "plotting", "model_cards"),
)
html_sidebars = {
    page: [] for page in ("index", "quickstart", "annotations", "own_transformer", *GUIDE)
}
html_math_renderer = "mathml"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

ROUTINE = ("get_metadata_routing", "get_params", "set_params", "set_output")


def skip_routine(app, what, name, member, skip, options):
    """Leave out what every scikit-learn estimator has; its documentation links to theirs."""
    theirs = name == "score" and member.__module__.startswith("sklearn")
    routed = name.startswith("set_") and name.endswith("_request")
    return skip or theirs or routed or name in ROUTINE


def setup(app):
    app.connect("autodoc-skip-member", skip_routine)
