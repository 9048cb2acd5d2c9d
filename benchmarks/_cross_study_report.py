"""Write what the cross-study benchmark found; every sentence is computed from the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

KNOWN_MIX = ", known mix"
HEAD = """# Predicting one breast-cancer study from two others

Made by `python -m benchmarks.cross_study`, which overwrites this file. Three studies (NKI:
Agilent log-ratios; VDX and expO: Affymetrix), the {n_genes} genes that signatures of breast
cancer use and all three measure (probes of one gene averaged; NKI's 361 missing values replaced
by the gene's mean in NKI). Each study in turn is predicted by a model of the other two: the
corrector, `StandardScaler`, `LogisticRegression(C=0.01)`. The held-out study is a batch that the
corrector has not seen:

- **none**: no corrector.
- **ComBat, new study passed through**: trained on corrected data, applied to uncorrected rows
  (`unseen_batch="passthrough"`).
- a corrector's name alone: `unseen_batch="estimate"`, location and scale of the new study from
  the samples to predict, as if they had the class mix of the training studies.
- **known mix**: `adapt` on the samples to predict with their true `class_proportions` (their
  labels are used for nothing else).
- **surrogate variables**: frozen SVA, which knows no batches; number by permutation.

Ratios are taken of `2**x`. Linear correction, mean centring and geometric ratios of one batch
factor differ by a constant a gene, which `StandardScaler` takes off: here they are one method.
ComBat-seq needs counts and has no part in this. Figures are means
over the three held-out studies. At the other mixes each study gives ten samples of up to 100
rows without replacement (13 rows where a class is rarest). Brackets: 95 % bootstrap intervals
over the samples of each study and class, the same for all methods and draws, with models and
corrections held fixed. The calibration slope is that
of the outcome on the predicted log-odds (1 is right, below 1 too sure of itself, above 1 not sure
enough). Ranks: by accuracy, by Brier score, by the distance of the slope from 1; methods are
sorted by the mean of the three.

## Samples

{counts}
"""


def write_report(path, *, docs=None, counts, n_genes, results, tasks, methods, mixes):
    """Write the report as Markdown and, for the documentation, as reStructuredText."""
    parts = [HEAD.format(n_genes=n_genes, counts=_table(counts))]
    for task, title in tasks.items():
        found = results[task]
        own = _ranked({m: found[m, mixes[0]] for m in methods})
        others = {m: [found[m, mix] for mix in mixes[1:]] for m in methods}
        mixed = _ranked({m: np.mean(v, axis=0) for m, v in others.items()}, others)
        parts += [
            f"## {title[0].upper()}{title[1:]}\n",
            "\n".join(_sentences(own, mixed, found, mixes)) + "\n",
            f"### At the studies' own class mix\n\n{_table(_shown(own))}\n",
            f"### Mean over the class mixes {_list(mixes[1:])}\n\n{_table(_shown(mixed))}\n",
            f"### Accuracy by share of class 1\n\n{_table(_by_mix(found, mixed.index, mixes))}\n",
        ]
    text = "\n".join(parts)
    path.write_text(text)
    if docs is not None:
        docs.write_text(_as_rst(text))


def _ranked(found, parts=None):
    """Return figures, intervals and ranks of all methods, by mean rank."""
    rows = {}
    for method, values in found.items():
        low, high = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
        row = {}
        for i, name in enumerate(("accuracy", "Brier", "slope")):
            row[name], row[f"{name} low"], row[f"{name} high"] = values[i, 0], low[i], high[i]
        slopes = [values] if parts is None else parts[method]
        row["off"] = np.mean([abs(part[2, 0] - 1) for part in slopes])
        rows[method] = row
    table = pd.DataFrame(rows).T
    ranks = pd.DataFrame(
        {
            "rank accuracy": table["accuracy"].round(6).rank(ascending=False, method="min"),
            "rank Brier": table["Brier"].round(6).rank(method="min"),
            "rank slope": table["off"].round(6).rank(method="min"),
        }
    )
    table = table.join(ranks)
    table["mean rank"] = ranks.mean(axis=1)
    return table.sort_values(["mean rank", "rank accuracy"], kind="stable")


def _sentences(own, mixed, found, mixes):
    """Say in words what the tables say."""
    best, best_mixed = own["accuracy"].idxmax(), mixed["accuracy"].idxmax()
    blind = [m for m in own.index if not m.endswith(KNOWN_MIX)]
    best_blind = mixed.loc[blind, "accuracy"].idxmax()
    pairs = [m for m in blind if m + KNOWN_MIX in own.index]
    edges = (mixes[1], mixes[-1])
    gain = {
        mix: np.mean([found[m + KNOWN_MIX, mix][0, 0] - found[m, mix][0, 0] for m in pairs])
        for mix in (mixes[0], *edges)
    }
    n = len(own)
    worse_own = [m for m in pairs if own.loc[m, "accuracy"] < own.loc["none", "accuracy"]]
    worse_mixed = [m for m in pairs if mixed.loc[m, "accuracy"] < mixed.loc["none", "accuracy"]]
    return [
        f"- At the own mix **{best}** is most accurate ({_said(own, best)}); without correction "
        f"accuracy is {_said(own, 'none')}, rank {own.loc['none', 'rank accuracy']:.0f} of {n}. "
        f"{_overlapping(own, best)}",
        f"- Over the five mixes **{best_mixed}** is most accurate ({_said(mixed, best_mixed)}), of "
        f"the methods that do not know the mix **{best_blind}** ({_said(mixed, best_blind)}); "
        f"without correction it is {_said(mixed, 'none')}, rank "
        f"{mixed.loc['none', 'rank accuracy']:.0f} of {n}.",
        f"- Less accurate than no correction, of the {len(pairs)} correctors that estimate the new "
        f"study without knowing its mix: {len(worse_own)} at the own mix, {len(worse_mixed)} over "
        "the five mixes.",
        f"- Knowing the mix changes their accuracy by {gain[mixes[0]]:+.2f} on average at the own "
        f"mix, by {gain[edges[0]]:+.2f} where class 1 is {edges[0]:.0%} and by "
        f"{gain[edges[1]]:+.2f} where it is {edges[1]:.0%}.",
        f"- Best Brier score: **{own['Brier'].idxmin()}** ({own['Brier'].min():.3f}) at the own "
        f"mix, **{mixed['Brier'].idxmin()}** ({mixed['Brier'].min():.3f}) over the five. "
        f"Calibration slope nearest to 1: **{own['off'].idxmin()}** "
        f"({own.loc[own['off'].idxmin(), 'slope']:.2f}) and **{mixed['off'].idxmin()}** "
        f"({mixed.loc[mixed['off'].idxmin(), 'slope']:.2f}).",
        f"- Passing the new study through a corrector it was not part of gives "
        f"{_said(own, 'ComBat, new study passed through')} at the own mix, surrogate variables "
        f"give {_said(own, 'surrogate variables (frozen)')}.",
    ]


def _overlapping(table, best):
    reach = table.loc[best, "accuracy low"]
    near = [m for m in table.index if m != best and table.loc[m, "accuracy high"] >= reach]
    return f"The intervals of {len(near)} others overlap with that of the first."


def _said(table, method):
    row = table.loc[method]
    return f"{row['accuracy']:.2f} [{row['accuracy low']:.2f}, {row['accuracy high']:.2f}]"


def _shown(table):
    shown = pd.DataFrame({"method": table.index})
    for name, digits in (("accuracy", 2), ("Brier", 3), ("slope", 2)):
        figures = zip(table[name], table[f"{name} low"], table[f"{name} high"], strict=True)
        shown[name] = [f"{a:.{digits}f} [{b:.{digits}f}, {c:.{digits}f}]" for a, b, c in figures]
    ranks = table[["rank accuracy", "rank Brier", "rank slope"]].astype(int).astype(str)
    shown["ranks"] = ranks.agg(" / ".join, axis=1).to_numpy()
    return shown


def _by_mix(found, methods, mixes):
    rows = {m: [f"{found[m, mix][0, 0]:.2f}" for mix in mixes] for m in methods}
    table = pd.DataFrame(rows, index=[str(mix) for mix in mixes]).T
    return table.rename_axis("method").reset_index()


def _list(mixes):
    return ", ".join(f"{mix:.0%}" for mix in mixes) + " of class 1"


def _table(frame):
    columns = [str(c) for c in frame.columns]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(str(v) for v in row)} |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def _as_rst(text):
    """Write the Markdown of this file as reStructuredText."""
    lines = [":orphan:", ""]
    for line in text.replace("`", "``").split("\n"):
        level = len(line) - len(line.lstrip("#"))
        if level:
            title = line[level:].strip()
            lines += [title, "=-~"[level - 1] * len(title)]
        elif line.startswith("|---"):
            continue
        elif line.startswith("| "):
            cells = ",".join(f'"{cell}"' for cell in line.strip("| ").split(" | "))
            if not lines[-1].startswith('   "'):
                lines += [".. csv-table::", "   :header-rows: 1", ""]
            lines.append(f"   {cells}")
        else:
            lines.append(line)
    return "\n".join(lines)
