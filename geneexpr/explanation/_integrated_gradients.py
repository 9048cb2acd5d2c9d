"""Integrated gradients: what each gene adds to the output of a network, along a straight path."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

from .._blocks import block_rows
from .._optional import import_optional
from .._options import check_number

_BYTES = 64 * 2**20
"""Size of the points on the paths of some rows that are held at once."""


def integrated_gradients(module, rows, baseline, *, target=0, n_steps=32):
    r"""Attribute the output of a network to its inputs, by integrated gradients.

    The output at a row less that at the baseline is shared among the genes,

    .. math:: a_j = (x_j - b_j) \int_0^1 \partial_j f(b + t (x - b)) \, dt

    with the integral by the rule of Gauss and Legendre (computed by captum, the extra
    ``explanation``). With several baselines it is the mean over all of them, which is what
    SHAP values with these rows as background estimate. A linear network is attributed exactly,
    to the single precision that captum keeps its steps in.

    Row-independent. Rows are taken in blocks, so that besides the result about 64 MiB are
    held (more only where the steps of one row are larger); of sparse rows only a block is ever
    dense.

    Parameters
    ----------
    module : torch.nn.Module or callable
        From a tensor of shape (n, n_genes) to one of shape (n, n_outputs) or (n,), such as
        ``net_.module_`` of a fitted network, whose output is the margin. A module is put into
        evaluation mode, and back afterwards.
    rows : {array, sparse matrix} of shape (n_samples, n_genes)
        What the network sees: scaled, if the pipeline scales before.
    baseline : array of shape (n_genes,) or (n_baselines, n_genes)
        Where the paths begin: a point without signal, such as the mean of the training rows,
        or a background of rows.
    target : int or array of int of shape (n_samples,), default=0
        The output to attribute, one for all rows or one a row.
    n_steps : int, default=32
        Points on each path.

    Returns
    -------
    attributions : array of shape (n_samples, n_genes)
        In units of the output; of the dtype of the network.
    errors : array of shape (n_samples,)
        By how much the attributions of a row add up to more than the output at the row less
        the mean output at the baselines. More steps make it smaller, but for kinks.

    Raises
    ------
    ImportError
        Without captum.
    ValueError
        For rows and baselines of other genes, values that are not finite, and an output that
        the network does not have.

    References
    ----------
    Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML,
    doi:10.48550/arXiv.1703.01365; with a background: Erion et al. (2021), "Improving
    performance of deep learning models with axiomatic attribution priors and expected
    gradients", doi:10.1038/s42256-021-00343-w.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import TorchMLPClassifier, integrated_gradients
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> model = TorchMLPClassifier(random_state=0).fit(X, X[:, 2] > 0)
    >>> shares, errors = integrated_gradients(model.net_.module_, X, X.mean(axis=0))
    >>> int(np.abs(shares).mean(axis=0).argmax()), bool(np.abs(errors).max() < 1e-4)
    (2, True)
    """
    check_number("n_steps", n_steps, least=1, whole=True)
    dtype, device = _kind_of(module, rows)
    rows = check_array(rows, accept_sparse="csr", dtype=np.dtype(dtype), input_name="rows")
    baseline = _checked_baseline(baseline, rows)
    target = _checked_target(target, rows.shape[0])
    captum = import_optional("captum.attr", extra="explanation", purpose="integrated_gradients")
    forward = _columns(module)
    was_training = getattr(module, "training", False)
    if was_training:
        module.eval()
    try:
        return _attribute(
            captum.IntegratedGradients(forward), rows, baseline, target, n_steps, device
        )
    finally:
        if was_training:
            module.train()


def _attribute(method, rows, baselines, target, n_steps, device):
    """Attribute block by block of rows, each along the paths from every baseline."""
    import torch  # here, since the rest of this folder does without it

    attributions = np.empty(rows.shape, dtype=rows.dtype)
    errors = np.empty(rows.shape[0])
    baselines = torch.from_numpy(baselines).to(device)
    with torch.no_grad():
        base = method.forward_func(baselines)
    _check_outputs(base, target)
    base = base.cpu().double().mean(dim=0).numpy()
    step = block_rows(rows.shape[1] * n_steps, rows.dtype.itemsize, _BYTES)
    for start in range(0, rows.shape[0], step):
        at = slice(start, start + step)
        block = rows[at].toarray() if sp.issparse(rows) else rows[at].copy()
        x, wanted = torch.from_numpy(block).to(device), torch.from_numpy(target[at]).to(device)
        total = torch.zeros_like(x)
        for baseline in baselines:
            total += method.attribute(x, baseline[None], target=wanted, n_steps=n_steps)
        attributions[at] = (total / len(baselines)).cpu().numpy()
        with torch.no_grad():
            reached = method.forward_func(x).cpu().double().numpy()
        gap = reached[np.arange(len(block)), target[at]] - base[target[at]]
        errors[at] = attributions[at].sum(axis=1, dtype=np.float64) - gap
    return attributions, errors


def _kind_of(module, rows):
    """Return the dtype and the device that a network computes in."""
    parameters = getattr(module, "parameters", lambda: iter(()))()
    parameter = next(parameters, None)
    if parameter is not None:
        return str(parameter.dtype).removeprefix("torch."), parameter.device
    single = getattr(rows, "dtype", None) == np.float32
    return "float32" if single else "float64", "cpu"


def _columns(module):
    """Return the network as a function whose output always has columns."""

    def forward(x):
        output = module(x)
        return output[:, None] if output.ndim == 1 else output

    return forward


def _checked_baseline(baseline, rows):
    baseline = baseline.toarray() if sp.issparse(baseline) else np.asarray(baseline)
    baseline = np.atleast_2d(baseline)
    baseline = check_array(baseline, dtype=rows.dtype, copy=True, input_name="baseline")
    if baseline.shape[1] != rows.shape[1]:
        raise ValueError(
            f"baseline must have the genes of rows: got {baseline.shape[1]} values for "
            f"{rows.shape[1]} genes."
        )
    return baseline


def _checked_target(target, n_rows):
    found = np.asarray(target)
    if found.dtype.kind not in "iu" or found.shape not in ((), (n_rows,)):
        raise ValueError(
            f"target must be the number of an output, or one number a row; got "
            f"{target!r} for {n_rows} rows."
        )
    return np.full(n_rows, found, dtype=np.int64)


def _check_outputs(output, target):
    if output.ndim != 2:
        raise ValueError(
            "The network must give one value or one row of values a sample; got an output of "
            f"shape {tuple(output.shape)}."
        )
    wrong = target[(target < 0) | (target >= output.shape[1])]
    if len(wrong):
        raise ValueError(
            f"target is {wrong[0]}, but the network has {output.shape[1]} outputs, counted from 0."
        )
