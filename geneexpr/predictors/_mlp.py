"""A multi-layer perceptron that classifies samples."""

from ._classifier import NetworkClassifier
from ._perceptron import Perceptron


class TorchMLPClassifier(Perceptron, NetworkClassifier):
    """Classify samples with a multi-layer perceptron, trained in PyTorch.

    Standardise the genes before (`StandardScaler` in the same pipeline), so that all of them
    weigh alike. Genes that come otherwise (logarithms, say) are centred on their means in
    ``fit`` and divided by one number, which keeps the ratios of their spreads. Arithmetic
    follows the dtype of X: float32 trains in half the time of float64. The same ``random_state``
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
    activation : {"relu", "gelu", "silu", "elu", "tanh", "identity"}, default="tanh"
        Of the hidden layers. A bounded unit bears the outliers of standardised genes: a
        single extreme value moves a sample no further than a large one does.
    dropout : float, default=0.2
        Share of the units of each hidden layer that are dropped while training.
    normalization : {None, "batch", "layer"}, default=None
        Between each hidden layer and its activation. "layer" treats every sample alike at all
        times; "batch" learns from the mini-batch, where weights of samples do not count.
    residual : bool, default=False
        Every hidden layer behind the first adds to what it is given, where it is as wide.
    l1 : float, default=0.0
        Selects genes, by the group lasso [2]_: this times the length of each gene's weights in
        the first layer is added to the loss, and genes that do not pay become exactly zero.
        Without hidden layers and with one output it is the lasso. Standardise the genes, try
        0.01 to 0.1, and let ``lr_schedule="cosine"`` calm the choice.
    lr : float, default=1e-3
        Learning rate of Adam.
    lr_schedule : {None, "cosine", "plateau"}, default=None
        "cosine" lowers the rate along half a wave to nearly zero in the last epoch;
        "plateau" halves it whenever the loss (on the held-out samples where there are such)
        has not fallen for half of ``patience``.
    gradient_clip : float, optional
        Longest gradient of a mini-batch, over all weights together; a longer one is scaled.
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
        Weight of each class. The offset of the output then starts at the weighted odds of the
        classes.
    calibration : {None, "temperature"}, default=None
        "temperature" divides the scores by one number that makes probabilities as sure as
        they deserve to be [3]_. It is learned by five-fold cross-fitting: from samples that
        the network which scores them has seen neither in training nor in early stopping,
        groups kept together. It takes six trainings.
    encoder : embedder, optional
        A fitted `AutoencoderEmbedder` or `VariationalAutoencoderEmbedder`, of other and
        usually more samples; the network then works on its components. X holds what the
        embedder takes (unstandardised; counts where it takes counts, from its ``layer``), with
        the same genes: see its ``fine_tune``. Give ``FrozenEstimator(embedder)`` of
        ``sklearn.frozen`` where this estimator is cloned (in cross-validation and grids), or
        the clone forgets what was learned.
    freeze : bool or int, default=True
        Whether the encoder stays as it is; False lets it learn with the rest, a number lets it
        learn after as many epochs.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        "auto" takes an accelerator where there is one.
    precision : {"auto", "full", "bf16"}, default="auto"
        Of matrix products in training. "auto" takes bfloat16 for float32 on a GPU that has
        it, and what X has elsewhere; predictions are always in full.
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
    temperature_ : float
        What scores are divided by; with ``calibration`` only.
    selected_genes_ : array of str
        Genes whose weights in the first layer are not zero.
    feature_importances_ : array of shape (n_genes,)
        Length of each gene's weights in the first layer.
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

    ``class_weight`` and ``sample_weight`` weigh the loss alike, but only ``class_weight`` lets
    the offset of the output start at the weighted odds of the classes (the product of both
    weights, where both are given). With ``sample_weight`` alone it starts where it does
    without weights, and training has to find the way; so the same weights, given once by
    class and once by sample, give networks that are close and not equal.

    See Also
    --------
    TorchMLPRegressor : Predicts numbers.
    AutoencoderEmbedder : Learns features without labels.

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019,
       doi:10.48550/arXiv.1711.05101.
    .. [2] Yuan, Lin (2006), "Model selection and estimation in regression with grouped
       variables", Journal of the Royal Statistical Society B 68, 49-67,
       doi:10.1111/j.1467-9868.2005.00532.x.
    .. [3] Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks",
       ICML, doi:10.48550/arXiv.1706.04599.

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
        activation="tanh",
        dropout=0.2,
        normalization=None,
        residual=False,
        l1=0.0,
        lr=1e-3,
        lr_schedule=None,
        gradient_clip=None,
        weight_decay=1e-2,
        max_epochs=100,
        batch_size=32,
        early_stopping="auto",
        validation_fraction=0.15,
        patience=10,
        group_key=None,
        class_weight=None,
        calibration=None,
        encoder=None,
        freeze=True,
        device="auto",
        precision="auto",
        random_state=None,
        callbacks=None,
        warm_start=False,
        verbose=0,
    ):
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual
        self.l1 = l1
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.gradient_clip = gradient_clip
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.group_key = group_key
        self.class_weight = class_weight
        self.calibration = calibration
        self.encoder = encoder
        self.freeze = freeze
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
