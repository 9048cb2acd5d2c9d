"""A model card as one HTML page that needs nothing else."""

from html import escape

from ._card_sections import Points, Table

_STYLE = """
.geneexpr-card { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  color: #1b1b1b; background: #fff; max-width: 60rem; margin: 0 auto; padding: 0 1rem 2rem;
  overflow-wrap: anywhere; }
.geneexpr-card h1 { font-size: 1.6rem; line-height: 1.25; margin: 1rem 0 .2rem; color: inherit; }
.geneexpr-card h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; padding-top: .6rem; color: inherit;
  border-top: 1px solid #ccc; }
.geneexpr-card p, .geneexpr-card ul { margin: .4rem 0; color: inherit; }
.geneexpr-card ul { padding-left: 1.2rem; }
.geneexpr-card .subtitle { color: #555; }
.geneexpr-card .wide { overflow-x: auto; }
.geneexpr-card table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0 1rem;
  width: auto; color: inherit; background: #fff; }
.geneexpr-card caption { caption-side: top; text-align: left; font-weight: 600; color: inherit;
  padding-bottom: .3rem; }
.geneexpr-card th, .geneexpr-card td { text-align: left; vertical-align: top; color: inherit;
  padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #ddd; min-width: 3.5rem;
  background: #fff; overflow-wrap: break-word; }
.geneexpr-card th { border-bottom: 1.5px solid #555; font-weight: 600; }
.geneexpr-card td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 40rem) { .geneexpr-card { font-size: 15px; padding: 0 .6rem 1rem; }
  .geneexpr-card th, .geneexpr-card td { padding-right: .6rem; } }
@media print { .geneexpr-card { max-width: none; font-size: 10pt; padding: 0; }
  .geneexpr-card .wide { overflow: visible; }
  .geneexpr-card th, .geneexpr-card td { overflow-wrap: anywhere; }
  .geneexpr-card h2 { break-after: avoid; } .geneexpr-card tr { break-inside: avoid; } }
"""


def to_fragment(title, subtitle, sections):
    """Write sections as a piece of HTML with its own style, as a notebook shows it.

    Parameters
    ----------
    title, subtitle : str
    sections : list of Section

    Returns
    -------
    str
    """
    parts = [
        f"<style>{_STYLE}</style>",
        '<article class="geneexpr-card">',
        f"<h1>{escape(title)}</h1>",
        f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else "",
    ]
    for section in sections:
        parts.append(f"<section>\n<h2>{escape(section.title)}</h2>")
        parts += [*map(_block, section.blocks), "</section>"]
    return "\n".join(part for part in [*parts, "</article>"] if part) + "\n"


def to_page(title, fragment):
    """Put a fragment into a page of its own, which loads nothing and runs nothing."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n</head>\n<body>\n{fragment}</body>\n</html>\n"
    )


def _block(block):
    if isinstance(block, Points):
        items = "\n".join(f"<li>{escape(item)}</li>" for item in block.items)
        return f"<ul>\n{items}\n</ul>"
    if isinstance(block, Table):
        return _table(block)
    return f"<p>{escape(block)}</p>"


def _table(table):
    caption = f"<caption>{escape(table.caption)}</caption>\n" if table.caption else ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return (
        f'<div class="wide"><table>\n{caption}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _cell(text):
    number = text.removeprefix("-")[:1].isdigit() and len(text) < 12
    return f"<td{' class=' + chr(34) + 'number' + chr(34) if number else ''}>{escape(text)}</td>"
