"""Formulas as MathML, which browsers read by themselves: no script from elsewhere."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def _inline(translator, node):
    translator.body.append(_markup(node, as_block=False))
    raise SkipNode


def _display(translator, node):
    # Not of the class "math", which the theme makes room in for the script that it expects.
    translator.body.append(f"<div class='formula'>{_markup(node, as_block=True)}</div>")
    raise SkipNode


def _markup(node, as_block):
    return " ".join(tex2mathml(node.astext().strip(), as_block=as_block).split())


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
