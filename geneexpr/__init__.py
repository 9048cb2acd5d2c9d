"""Machine learning on gene expression as scikit-learn estimators.

Every public name is loaded on first use, so ``import geneexpr`` is cheap: the
list of names, and where each lives, is the stub ``__init__.pyi`` beside this file.
"""

import lazy_loader as _lazy

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
