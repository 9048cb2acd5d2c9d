"""Pieces of HTML: paragraphs, tables, figures with their image inside."""

from base64 import b64encode
from html import escape

from wording import right_of, span

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  color: #1b1b1b; background: #fff; margin: 0 auto; padding: 1rem 1.2rem 4rem; max-width: 68rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1rem 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .6rem; border-top: 1px solid #ddd; }
.source { color: #555; margin: 0 0 1.2rem; }
.verdict { border-left: 5px solid #0072b2; background: #f2f7fb; padding: .8rem 1.1rem; }
.verdict p { margin: 0 0 .4rem; font-size: 1.15rem; font-weight: 600; }
.verdict ul { margin: 0; padding-left: 1.2rem; }
.verdict li { margin: .35rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .4rem 0 .8rem; }
caption { caption-side: top; text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e3e3;
  vertical-align: top; }
th { border-bottom: 1.5px solid #555; font-weight: 600; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.main td { font-weight: 600; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
small { color: #555; font-weight: 400; white-space: nowrap; }
figcaption, .note { color: #555; font-size: .9rem; }
dt { font-weight: 600; margin-top: .7rem; }
dd { margin: 0; }
code { font-size: .9em; background: #f3f3f3; padding: 0 .2em; overflow-wrap: anywhere; }
@media (max-width: 40rem) { figure img { max-width: none; min-width: 34rem; }
  body { font-size: 15px; padding: .5rem .8rem 3rem; } }
"""


def p(text, kind=""):
    """Write a paragraph."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</p>"


def table(caption, header, rows, main=()):
    """Write a table; an interval in brackets goes below its value."""

    def cell(value):
        value, bracket, rest = str(value).partition(" (")
        if not value[:1].isdigit() and value[:1] not in "+-":
            return f"<td>{escape(value + bracket + rest)}</td>"
        below = f"<br><small>{escape(bracket.strip() + rest)}</small>" if bracket else ""
        return f'<td class="number">{escape(value)}{below}</td>'

    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr{' class=' + chr(34) + 'main' + chr(34) if i in main else ''}>"
        f"{''.join(map(cell, row))}</tr>\n"
        for i, row in enumerate(rows)
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def figure(figures, name, alt, caption):
    """Write a figure with its image inside."""
    if name not in figures:
        return ""
    png = figures[name].read_bytes()
    # A PNG states its width in bytes 16 to 20; it was drawn at 150 dots an inch.
    width = int.from_bytes(png[16:20], "big") * 96 // 150
    return (
        f'<figure><div class="wide"><img alt="{escape(alt)}" style="width: {width}px" '
        f'src="data:image/png;base64,{b64encode(png).decode()}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def section(title, *parts):
    """Write a section."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def score_cells(scores):
    """Write n, how many were right, balanced accuracy and AUC."""
    return [
        scores["n_donors"] if scores["n"] == scores["n_donors"] else _n(scores),
        right_of(scores),
        span(scores["balanced_accuracy"]),
        span(scores["auc"]),
    ]


def _n(scores):
    return f"{scores['n']} ({scores['n_donors']} donors)"


SCORE_HEADER = ["n", "called right (exact 95 %)", "balanced accuracy (95 %)", "AUC (95 %)"]
