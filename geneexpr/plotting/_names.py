"""Names beside points, placed when the figure is drawn; imported with the first name only."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.text import Text

DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
DISTANCES = (4, 11, 20, 31, 44, 59, 76)
"""From the point to the nearest edge of the text, in points."""
PAD = 1.5
"""Kept free around a text, in points."""
COVERED = 8.0
"""Points of distance that a text goes further rather than to cover one more point."""
MOST_AVOIDED = 5000


def candidates(anchor, size, scale):
    """Return the boxes in which a text of this size could stand, near ones first.

    Parameters
    ----------
    anchor : array of shape (2,)
        The point, in pixels.
    size : array of shape (2,)
        Width and height of the text, in pixels.
    scale : float
        Pixels a point.

    Returns
    -------
    boxes : array of shape (n_candidates, 4)
        Left, bottom, right, top.
    distances : array of shape (n_candidates,)
        In points.
    """
    steps = np.array(
        [np.array(d) * r / max(1.0, np.hypot(*d)) for r in DISTANCES for d in DIRECTIONS]
    )
    sides = np.array([d for _ in DISTANCES for d in DIRECTIONS])
    corners = anchor + steps * scale + (sides - 1) / 2 * size
    return np.hstack([corners, corners + size]), np.hypot(*steps.T)


def overlaps(boxes, other):
    """Tell which boxes overlap another box."""
    return (
        (boxes[:, 0] < other[2])
        & (boxes[:, 2] > other[0])
        & (boxes[:, 1] < other[3])
        & (boxes[:, 3] > other[1])
    )


def place(anchors, sizes, frame, scale, avoid):
    """Find a free box for each text, in order.

    Parameters
    ----------
    anchors : array of shape (n_texts, 2)
        The points that have names, in pixels.
    sizes : array of shape (n_texts, 2)
    frame : sequence of 4 floats
        The box in which the texts must stay: left, bottom, right, top.
    scale : float
        Pixels a point.
    avoid : array of shape (n_points, 2)
        Points better not covered.

    Returns
    -------
    list of array of shape (4,), or None where there is no place
    """
    taken, found = [], []
    dots = np.hstack([anchors - 3 * scale, anchors + 3 * scale])
    for anchor, size in zip(anchors, sizes, strict=True):
        boxes, cost = candidates(anchor, size, scale)
        free = (boxes[:, :2] >= frame[:2]).all(axis=1) & (boxes[:, 2:] <= frame[2:]).all(axis=1)
        for other in [*taken, *dots[np.abs(anchors - anchor).max(axis=1) > 0]]:
            free &= ~overlaps(boxes, other)
        if not free.any():
            found.append(None)
            continue
        boxes, cost = boxes[free], cost[free]
        best = boxes[np.argmin(cost + COVERED * _n_covered(boxes, avoid))]
        taken.append(best + PAD * scale * np.array([-1, -1, 1, 1]))
        found.append(best)
    return found


def _n_covered(boxes, points):
    if not len(points):
        return np.zeros(len(boxes))
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    points = points[((points >= low) & (points <= high)).all(axis=1)]
    inside = (points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])
    return inside.all(axis=2).sum(axis=1)


class Names(Artist):
    """Places its texts just before they are drawn; draws nothing itself.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : array of shape (n_names,)
        In data coordinates.
    names : sequence of str
    avoid : array of shape (n_points, 2), optional
        Other points, in data coordinates.
    color : str
    """

    def __init__(self, ax, x, y, names, *, avoid=None, color="black"):
        super().__init__()
        self.set_zorder(3.5)  # after the points, before the texts
        self.set_in_layout(False)
        self.points = np.column_stack([x, y]).astype(float)
        avoid = np.empty((0, 2)) if avoid is None else np.asarray(avoid, dtype=float)
        self.avoid = avoid[:: max(1, len(avoid) // MOST_AVOIDED)]
        self.texts = [
            ax.annotate(
                name,
                tuple(point),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize="x-small",
                color=color,
                zorder=4,
                arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "0.5", "shrinkA": 0},
            )
            for name, point in zip(names, self.points, strict=True)
        ]
        for text in self.texts:
            text.set_in_layout(False)

    def draw(self, renderer):
        """Find the places for the size at which the figure is drawn now."""
        if not self.texts:
            return
        transform, frame = self.axes.transData, self.axes.bbox.extents
        scale = renderer.points_to_pixels(1.0)
        sizes = []
        for text in self.texts:
            text.set_visible(True)  # what an earlier drawing left out has no extent
            box = Text.get_window_extent(text, renderer)  # of the text without its line
            sizes.append((box.width, box.height))
        anchors = transform.transform(self.points)
        avoid = transform.transform(self.avoid)
        boxes = place(anchors, np.array(sizes), frame, scale, avoid)
        for text, anchor, box in zip(self.texts, anchors, boxes, strict=True):
            text.set_visible(box is not None)
            if box is not None:
                text.set_position(tuple((box[:2] - anchor) / scale))
