"""A multi-layer perceptron that classifies samples."""

from .. import nets
from ._classifier import NetworkClassifier


class TorchMLPClassifier(NetworkClassifier):
    """Classify samples with a multi-layer perceptron, trained in PyTorch.

    Standardise the genes before (`StandardScaler` in the same pipeline). Arithmetic follows
    the dtype of X: float32 trains in half the time of float64. The same ``random_state``
    gives the same network to the last bit, also when several are trained in threads at
    once (given the same number of threads of PyTorch); the global generator of PyTorch is
    neither read nor moved.

    Mini-batches are gathered in one operation; of sparse input only a mini-batch is ever
    dense. Data on disk are read in blocks and shuffled within a read-ahead buffer, so peak
    memory is the weights (four times, while training), some blocks of 32 MiB and one
    mini-batch.

    Parameters
    ----------
    hidden_layers : sequence of int, default=(128,)
        Width of each hidden layer; empty gives a linear model.
    activation : {"relu", "gelu", "silu", "elu", "tanh", "identity"}, default="relu"
        Of the hidden layers.
    dropout : float, default=0.2
        Share of the units of each hidden layer that are dropped while training.
    lr : float, default=1e-3
        Learning rate of Adam.
    weight_decay : float, default=1e-2
        Decoupled weight decay (AdamW) of the weights, not of the offsets.
    max_epochs : int, default=100
        Times that every sample is seen, at most.
    batch_size : int, default=32
        Samples in a mini-batch, at most; batches differ by one sample in size at most.
    early_stopping : bool or "auto", default="auto"
        Hold out some training samples, stop when the loss on them falls no more, and keep
        the weights of the best epoch. "auto" does so from 500 samples on: with fewer the
        held-out samples are worth more in training.
    validation_fraction : float, default=0.15
        Share of the samples held out, every class in proportion.
    patience : int, default=10
        Epochs without a lower loss before training stops early.
    group_key : str, optional
        Annotation that names groups (donors); a group is never split by early stopping.
        For arrays pass ``groups=`` to ``fit``.
    class_weight : dict or "balanced", optional
        Weight of each class.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        "auto" takes an accelerator where there is one.
    random_state : int, RandomState or None, default=None
        Seeds the start, the shuffling, dropout and the validation split.
    callbacks : list of skorch callbacks, optional
        Copies of them are called while training. They are not kept in pickles and model
        files of a fitted estimator.
    warm_start : bool, default=False
        Go on from the last fit instead of starting anew.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the PyTorch module.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    history_ : DataFrame
        Everything recorded in training, a row an epoch.
    n_epochs_ : int
    architecture_ : dict
        What the module is built from.
    device_ : str
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Notes
    -----
    Ctrl-C ends the training, not the program: the best weights so far are kept, with a
    warning. A loss that is NaN or infinite raises and says what to try.

    See Also
    --------
    AutoencoderEmbedder : Learns features without labels.

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019,
       doi:10.48550/arXiv.1711.05101.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import TorchMLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 20))
    >>> y = np.where(X[:, 0] > 0, "case", "control")
    >>> model = TorchMLPClassifier(random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (60, 2)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def __init__(
        self,
        hidden_layers=(128,),
        *,
        activation="relu",
        dropout=0.2,
        lr=1e-3,
        weight_decay=1e-2,
        max_epochs=100,
        batch_size=32,
        early_stopping="auto",
        validation_fraction=0.15,
        patience=10,
        group_key=None,
        class_weight=None,
        device="auto",
        random_state=None,
        callbacks=None,
        warm_start=False,
        verbose=0,
    ):
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.group_key = group_key
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose

    def _architecture(self, n_inputs, n_outputs):
        return {
            "n_inputs": n_inputs,
            "n_outputs": n_outputs,
            "hidden_layers": [int(width) for width in self.hidden_layers],
            "activation": self.activation,
            "dropout": float(self.dropout),
        }

    @staticmethod
    def _build(dtype, generator, **architecture):
        return nets.MLP(**architecture, dtype=dtype, generator=generator)
