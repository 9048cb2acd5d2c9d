"""A model card as Markdown."""

import re

from ._card_sections import Points, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&$])")


def to_markdown(title, subtitle, sections):
    """Write sections as Markdown; nothing in a text acts as markup.

    Parameters
    ----------
    title, subtitle : str
    sections : list of Section

    Returns
    -------
    str
    """
    parts = [f"# {plain(title)}", _sentence(subtitle)]
    for section in sections:
        parts.append(f"## {plain(section.title)}")
        parts += map(_block, section.blocks)
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text):
    r"""Escape what Markdown or HTML would take for markup.

    Examples
    --------
    >>> print(plain("a|b <i>, gene_1"))
    a\|b \<i\>, gene_1
    """
    text = " ".join(str(text).split())
    text = _SPECIAL.sub(r"\\\1", text)
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", text)  # inside of a word it is no markup


def _sentence(text):
    """Escape a text that begins a line, where a number with a dot would begin a list."""
    return re.sub(r"^(\d+)([.)])(?=\s)|^([-+])(?=\s)", _inert, plain(text))


def _inert(match):
    return f"{match[1]}\\{match[2]}" if match[1] else f"\\{match[3]}"


def _block(block):
    if isinstance(block, Points):
        return "\n".join(f"- {_sentence(item)}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    return _sentence(block)


def _table(table):
    lines = [
        _row(table.header),
        _row(["---"] * len(table.header), escape=False),
        *map(_row, table.rows),
    ]
    caption = f"**{plain(table.caption)}**\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _row(cells, *, escape=True):
    return f"| {' | '.join(plain(cell) if escape else cell for cell in cells)} |"
