"""What a transformer of your own is built from.

See "Write your own transformer" in the documentation. These names stay what they are from
one release to the next; modules with a leading underscore may change.
"""

from ._base import GeneSelector, GeneTransformer
from ._blocks import fold, map_rows

__all__ = ["GeneSelector", "GeneTransformer", "fold", "map_rows"]
