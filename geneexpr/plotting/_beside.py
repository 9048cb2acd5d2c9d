"""Pieces beside axes that keep their size in points, and ticks that thin themselves out.

Imported with the first figure that needs them only.
"""

import numpy as np
from matplotlib.ticker import Locator
from matplotlib.transforms import Bbox


class Beside:
    """Places an inset along one side of its parent, at a distance and of a size in points.

    Parameters
    ----------
    parent : matplotlib Axes
    side : {"top", "left"}
    distance, size : float
        In points.
    length : float, optional
        Along the side, in points, from the corner outwards; the whole side by default.
    """

    def __init__(self, parent, side, distance, size):
        self.parent = parent
        self.side = side
        self.distance = distance
        self.size = size

    def __call__(self, ax, renderer):
        """Return the place of the inset in its figure."""
        figure = self.parent.get_figure(root=False)
        point = figure.dpi / 72
        (left, bottom), (right, top) = self.parent.bbox.get_points()
        near, far = self.distance * point, (self.distance + self.size) * point
        if self.side == "top":
            box = Bbox([[left, top + near], [right, top + far]])
        else:
            box = Bbox([[left - far, bottom], [left - near, top]])
        return box.transformed(figure.transSubfigure.inverted())


class Corner(Beside):
    """Places an inset above the upper left corner of its parent, left of its edge."""

    def __init__(self, parent, distance, size, *, above, height):
        super().__init__(parent, "left", distance, size)
        self.above = above
        self.height = height

    def __call__(self, ax, renderer):
        """Return the place of the inset in its figure."""
        figure = self.parent.get_figure(root=False)
        point = figure.dpi / 72
        left, top = self.parent.bbox.x0, self.parent.bbox.y1
        bottom = top + self.above * point
        right = left - self.distance * point
        box = Bbox([[right - self.size * point, bottom], [right, bottom + self.height * point]])
        return box.transformed(figure.transSubfigure.inverted())


def inset(parent, locator):
    """Return axes inside the layout of their parent, placed by a locator.

    Parameters
    ----------
    parent : matplotlib Axes
    locator : callable

    Returns
    -------
    matplotlib Axes
    """
    ax = parent.inset_axes([0, 0, 1, 1])
    ax.set_axes_locator(locator)
    return ax


class Thinned(Locator):
    """Ticks at as many places as there is room for their labels.

    Parameters
    ----------
    places : array of shape (n_places,)
        In ascending order.
    size : float
        What a label needs along the axis, in points.
    said : callable, optional
        ``said(n_shown)`` gives the label of the axis.
    all_or_none : bool, default=False
        Show no tick rather than some.
    """

    def __init__(self, places, size, *, said=None, all_or_none=False):
        self.places = np.asarray(places, dtype=float)
        self.size = size
        self.said = said
        self.all_or_none = all_or_none

    def __call__(self):
        """Return the places that are shown at the size at which the figure is drawn now."""
        shown = self._shown()
        if self.said is not None:
            self.axis.set_label_text(self.said(len(shown)))
        return shown

    def tick_values(self, vmin, vmax):
        """Return the places; the limits do not matter."""
        return self()

    def _shown(self):
        ax = self.axis.axes
        box, (low, high) = ax.bbox, sorted(self.axis.get_view_interval())
        length = box.width if self.axis.axis_name == "x" else box.height
        length *= 72 / ax.get_figure(root=False).dpi
        apart = self.size * (high - low) / max(length, 1e-9)
        gaps = np.diff(self.places)
        if not len(gaps) or gaps.min() >= apart:
            return self.places
        if self.all_or_none:
            return self.places[:0]
        if gaps.min() == gaps.max():
            step = int(np.ceil(apart / gaps[0]))
            return self.places[step // 2 :: step]
        kept = [self.places[0]]
        for place in self.places[1:]:
            if place - kept[-1] >= apart:
                kept.append(place)
        return np.array(kept)
