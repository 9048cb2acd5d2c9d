"""Gene sets from files in the GMT format of MSigDB, Reactome and Enrichr."""

import gzip
from pathlib import Path

_GZIP = b"\x1f\x8b"


def read_gmt(path):
    r"""Read gene sets from a GMT file.

    One set a line, separated by tabs: its name, a description, its genes. A gene that a line
    names twice counts once; blank lines and empty fields are skipped.

    Parameters
    ----------
    path : str or path-like
        Plain text (UTF-8) or gzip, whatever the name of the file.

    Returns
    -------
    dict of str to list of str
        The genes of every set, in the order of the file.

    Raises
    ------
    ValueError
        For lines without a name or without genes, names that come twice, and a file without
        sets; with the numbers of the lines.

    References
    ----------
    Subramanian et al. (2005), "Gene set enrichment analysis", doi:10.1073/pnas.0506580102.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from geneexpr import read_gmt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sets.gmt"
    ...     _ = path.write_text("P53\thttp://...\tTP53\tMDM2\n")
    ...     read_gmt(path)
    {'P53': ['TP53', 'MDM2']}
    """
    raw = Path(path).read_bytes()
    raw = gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{Path(path).name} is no GMT file: it is not text ({error}).") from None
    return _parsed(text.splitlines(), Path(path).name)


def _parsed(lines, file):
    sets, bad = {}, []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *fields = (field.strip() for field in line.split("\t"))
        genes = list(dict.fromkeys(gene for gene in fields[1:] if gene))
        wrong = _what_is_wrong(name, genes, fields, sets)
        if wrong:
            bad.append(f"line {number} {wrong}")
        else:
            sets[name] = genes
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(
            f"{file} has {len(bad)} lines that are no gene set: {'; '.join(bad[:5])}{more}. A line "
            "of a GMT file is a name, a description and genes, separated by tabs."
        )
    if not sets:
        raise ValueError(f"{file} holds no gene sets.")
    return sets


def _what_is_wrong(name, genes, fields, sets):
    if not fields:
        return f"has no tabs ({name[:30]!r})"
    if not name:
        return "has no name"
    if not genes:
        return f"names no genes ({name!r})"
    if name in sets:
        return f"repeats the name {name!r}"
    return None
