"""Checks of options: one of some words, a number in a range, names of annotations."""

import numbers


def check_choice(name, value, choices):
    """Raise where an option has none of the values that it may have."""
    if getattr(value, "ndim", 0) or value not in tuple(choices):
        said = ", ".join(repr(c) for c in choices)
        raise ValueError(f"{name} must be one of {said}; got {value!r}.")


def check_number(name, value, *, least=None, above=None, most=None, below=None, whole=False):
    """Raise where an option is no number, or outside of its range."""
    kind = numbers.Integral if whole else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    good = good and (least is None or value >= least) and (above is None or value > above)
    if good and (most is None or value <= most) and (below is None or value < below):
        return
    bounds = {"at least": least, "above": above, "at most": most, "below": below}
    said = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)
    raise ValueError(f"{name} must be a {'whole ' * whole}number {said}; got {value!r}.")


def check_keys(name, keys):
    """Raise where an option that names several annotations is one name, or none at all."""
    if keys is None:
        raise ValueError(f"{name} must be a sequence of names, got None: give () for none.")
    if isinstance(keys, str):
        raise ValueError(
            f"{name} must be a sequence of names, got {keys!r} alone: give [{keys!r}]."
        )
