"""What all figures share: colours, markers, axes, names beside points.

matplotlib is imported inside the functions, so that importing a Display costs nothing.
"""

import numpy as np

# Okabe and Ito's colours: told apart with every kind of colour vision.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
BLACK = "#000000"
GREY = "#777777"
LIGHT_GREY = "#BBBBBB"

COLORS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, BLACK)
"""Of groups, in this order; their yellow is left out, since it vanishes on white."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
VALUES = "cividis"
"""Colours of numbers: blue by grey to yellow, and lighter all the way, so legible in grey."""

MANY_POINTS = 2000
"""From here on points are drawn as an image, also into PDF and SVG."""
LONGEST_NAME = 28


def axes_for(ax=None, *, figsize=(6.0, 4.5)):
    """Return the axes given, or those of a new figure, without the frame's upper right.

    Parameters
    ----------
    ax : matplotlib Axes, optional
    figsize : tuple of float
        Of the new figure, in inches.

    Returns
    -------
    matplotlib Axes
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def grid_for(axes, n_columns, *, figsize, width_ratios=None):
    """Return as many axes as a figure has panels: those given, or those of a new figure.

    Parameters
    ----------
    axes : sequence of matplotlib Axes, optional
    n_columns : int
    figsize : tuple of float
        Of the new figure, in inches.
    width_ratios : sequence of float, optional

    Returns
    -------
    array of matplotlib Axes, of shape (n_columns,)
    """
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(
            1, n_columns, figsize=figsize, width_ratios=width_ratios, layout="constrained"
        )
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(axes) != n_columns:
        raise ValueError(f"This figure has {n_columns} panels; got {len(axes)} axes.")
    return np.array([axes_for(ax) for ax in axes], dtype=object)


def palette(levels):
    """Give every level a colour and a marker: 49 pairs, the first seven alike in neither.

    Parameters
    ----------
    levels : sequence
        Distinct.

    Returns
    -------
    dict of tuple of str

    Examples
    --------
    >>> palette(["a", "b"])
    {'a': ('#0072B2', 'o'), 'b': ('#E69F00', '^')}
    """
    return {
        level: (COLORS[i % len(COLORS)], MARKERS[(i + i // len(COLORS)) % len(MARKERS)])
        for i, level in enumerate(levels)
    }


def ladder(n, turn=0):
    """Return n colours from light to dark, of different hues: told apart in grey, too.

    For areas, which have no marker.

    Parameters
    ----------
    n : int
    turn : int, default=0
        Other hues in the same lightness, for another annotation beside it.

    Returns
    -------
    list of tuple of float
        Red, green and blue, each within 0 and 1.

    Examples
    --------
    >>> len(ladder(3))
    3
    """
    import seaborn

    colors = seaborn.cubehelix_palette(
        n, start=0.4 + 1.1 * turn, rot=-1.6, dark=0.2, light=0.88, hue=1.4
    )
    return [tuple(float(part) for part in color) for color in colors]


def lightness(color):
    """Return how light a colour is to the eye: L* of CIE 1976, 0 (black) to 100 (white).

    What a print in grey keeps of it.

    Parameters
    ----------
    color : matplotlib color

    Returns
    -------
    float

    Examples
    --------
    >>> round(lightness("#777777"))
    50
    """
    from matplotlib.colors import to_rgb

    rgb = np.asarray(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = float(linear @ (0.2126, 0.7152, 0.0722))
    return 116 * y ** (1 / 3) - 16 if y > (6 / 29) ** 3 else y * (29 / 3) ** 3


def point_size(n):
    """Return the area of a marker (points squared) that suits this many points."""
    return float(np.clip(2000 / max(n, 1), 6, 36))


def shortened(name, most=LONGEST_NAME):
    """Shorten a name in its middle: identifiers differ at both ends.

    Examples
    --------
    >>> shortened("ENSG00000141510.18|TP53|protein_coding", 20)
    'ENSG000001…in_coding'
    """
    name = str(name)
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def columns_for(ax, labels, most=4):
    """Return in how many columns a legend of these labels fits above the axes."""
    inches = ax.get_position().width * ax.figure.get_figwidth()
    return int(np.clip(11 * inches // (max(map(len, labels), default=1) + 3), 1, most))


def legend_above(ax, *, ncols=4, **options):
    """Put the legend in a row above the axes, where it covers no data."""
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=ncols,
        frameon=False,
        borderaxespad=0.2,
        handletextpad=0.2,
        columnspacing=1.0,
        fontsize="small",
        **options,
    )


def write_names(ax, x, y, names, *, avoid=None, color=BLACK):
    """Write names beside points, so that none covers another or a point that has a name.

    Places are found anew whenever the figure is drawn, so they fit any size. A name that
    finds no place inside the axes is left out; earlier names go first.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : array of shape (n_names,)
    names : sequence of str
    avoid : array of shape (n_points, 2), optional
        Other points, to be covered only where nothing else is free.
    color : str

    Returns
    -------
    list of matplotlib Annotation
    """
    from ._names import Names

    placed = Names(ax, x, y, [shortened(name) for name in names], avoid=avoid, color=color)
    ax.add_artist(placed)
    return placed.texts
