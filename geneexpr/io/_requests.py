"""Metadata requests of estimators (``set_fit_request(batch=True)``) as plain values.

scikit-learn keeps them in an object that points back to its estimator, which a model file
cannot hold; in a file they are a dict of dicts.
"""

from __future__ import annotations

from contextlib import contextmanager

from sklearn import config_context

from ._trees import walk

_ATTRIBUTE = "_metadata_request"


@contextmanager
def plain_requests(model):
    """While this is open, the estimators in a model hold their requests as plain dicts."""
    owners = [item for item in walk(model) if _ATTRIBUTE in vars(item)]
    kept = [vars(item)[_ATTRIBUTE] for item in owners]
    try:
        for item, request in zip(owners, kept, strict=True):
            setattr(item, _ATTRIBUTE, _as_dict(request))
        yield
    finally:
        for item, request in zip(owners, kept, strict=True):
            setattr(item, _ATTRIBUTE, request)


def _as_dict(request):
    return {
        method: dict(of_method.requests)
        for method, of_method in vars(request).items()
        if getattr(of_method, "requests", None) and method != "owner"
    }


def restore_requests(model):
    """Turn the plain dicts of a loaded model back into requests."""
    for item in walk(model):
        plain = vars(item).pop(_ATTRIBUTE, None)
        if not isinstance(plain, dict):
            continue
        with config_context(enable_metadata_routing=True):
            for method, requests in plain.items():
                said = {name: alias for name, alias in requests.items() if alias is not None}
                if said:
                    getattr(item, f"set_{method}_request")(**said)
