"""A denoising autoencoder that embeds samples."""

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils.validation import check_is_fitted

from .. import nets
from .._base import GeneTransformer
from .._blocks import map_rows
from .._containers import like
from .._network import NetworkEstimator, check_number
from .._validation import check_choice, warn_zero_depth
from ._fine_tune import FineTuning
from ._inverse import check_components, gene_names_in
from ._profile import count_profile, start_of_counts, start_of_values


class AutoencoderEmbedder(
    ClassNamePrefixFeaturesOutMixin, FineTuning, GeneTransformer, NetworkEstimator
):
    """Embed samples with a denoising autoencoder, trained in PyTorch.

    The network compresses expression to ``n_components`` numbers and restores it from
    them; noise that is added to its input in training makes it learn what genes have in
    common. It centres each gene and divides all of them by one number, as PCA does but for
    that number, so that ``noise`` and ``lr`` mean the same on every scale. Genes of larger
    variance count more; standardise before (`StandardScaler`) if they should not.

    Besides noise, three options keep it from copying: weights that encoder and decoder share
    (``tied``), components near zero for most samples (``sparsity``) and components that a
    small change of expression does not move (``contractive``). For counts there are losses of
    counts, which scatter around a share of the sample's own total.

    Row-independent. ``fit`` reads the data once for the means, then once an epoch in
    mini-batches, the only part of sparse input that is ever dense. Data on disk are
    read in blocks and shuffled within a read-ahead buffer; peak memory is the weights (four
    times, while training), some blocks of 32 MiB and one mini-batch.

    Parameters
    ----------
    n_components : int, default=32
        Width of the embedding.
    hidden_layers : sequence of int, default=(128,)
        Width of each layer between input and embedding; the decoder mirrors them. Empty
        gives a linear autoencoder, whose embedding spans what PCA spans.
    activation : {"relu", "gelu", "silu", "elu", "tanh", "identity"}, default="relu"
        Of the hidden layers.
    noise : float, default=0.1
        Standard deviation of the noise in training, in units of the genes' own.
    tied : bool, default=False
        Let the decoder use the weights of the encoder, transposed: half as many to learn.
    sparsity : float, default=0.0
        Weight of the mean absolute component in the loss, which draws components to zero.
    contractive : float, default=0.0
        Weight of the squared norm of the Jacobian of the components, by scaled expression [2]_;
        it is estimated along random directions.
    loss : {"mse", "poisson", "nb"}, default="mse"
        Squared error, for values on any scale; or for counts, of which the encoder sees
        ``log(1 + count)``, the negative log-probability of a Poisson distribution or a
        negative binomial one with one dispersion a gene. Penalties count in training only,
        not on the samples that early stopping judges by.
    dropout : float, default=0.0
        Share of the units of each hidden layer that are dropped while training.
    lr : float, default=1e-3
        Learning rate of Adam.
    lr_schedule : {None, "cosine", "plateau"}, default=None
        "cosine" lowers the rate along half a wave to nearly zero in the last epoch;
        "plateau" halves it whenever the loss (on the held-out samples where there are such)
        has not fallen for half of ``patience``.
    gradient_clip : float, optional
        Longest gradient of a mini-batch, over all weights together; a longer one is scaled.
    weight_decay : float, default=1e-4
        Decoupled weight decay (AdamW) of the weights, not of the offsets.
    max_epochs : int, default=100
        Times that every sample is seen, at most.
    batch_size : int, default=32
        Samples in a mini-batch, at most.
    early_stopping : bool or "auto", default="auto"
        Hold out some samples, stop when the loss on them falls no more, and keep the
        weights of the best epoch. "auto" does so from 500 samples on.
    validation_fraction : float, default=0.15
        Share of the samples held out.
    patience : int, default=10
        Epochs without a lower loss before training stops early.
    group_key : str, optional
        Annotation that names groups (donors); a group is never split by early stopping.
        For arrays pass ``groups=`` to ``fit``.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        "auto" takes an accelerator where there is one.
    precision : {"auto", "full", "bf16"}, default="auto"
        Of matrix products in training. "auto" takes bfloat16 for float32 on a GPU that has
        it, and what X has elsewhere; what a fitted network gives is always in full.
    random_state : int, RandomState or None, default=None
        Seeds the start, the shuffling, noise, dropout and the validation split.
    callbacks : list of skorch callbacks, optional
        Copies of them are called while training. They are not kept in pickles and model
        files of a fitted estimator.
    warm_start : bool, default=False
        Go on from the last fit instead of starting anew.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the PyTorch module.
    center_ : array of shape (n_genes,)
        Mean of each gene; of ``log(1 + count)`` for a loss of counts.
    scale_ : float
        The number that all centred genes are divided by.
    median_library_size_ : float
        Of the training samples; for a loss of counts only.
    loss_curve_ : list of float
        Mean training loss of each epoch and gene, penalties included.
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

    See Also
    --------
    TorchMLPClassifier : Classifies samples.

    References
    ----------
    .. [1] Vincent, Larochelle, Lajoie, Bengio, Manzagol (2010), "Stacked denoising
       autoencoders", Journal of Machine Learning Research 11, 3371-3408,
       doi:10.5555/1756006.1953039.
    .. [2] Rifai, Vincent, Muller, Glorot, Bengio (2011), "Contractive auto-encoders: explicit
       invariance during feature extraction", ICML, doi:10.5555/3104482.3104587.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import AutoencoderEmbedder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 20))
    >>> model = AutoencoderEmbedder(n_components=3, random_state=0).fit(X)
    >>> Z = model.transform(X)
    >>> Z.shape
    (60, 3)
    >>> bool(((model.inverse_transform(Z) - X) ** 2).mean() < 0.2 * X.var())
    True
    """

    tied, sparsity, contractive, loss = False, 0.0, 0.0, "mse"  # of older model files

    def __init__(
        self,
        n_components=32,
        *,
        hidden_layers=(128,),
        activation="relu",
        noise=0.1,
        tied=False,
        sparsity=0.0,
        contractive=0.0,
        loss="mse",
        dropout=0.0,
        lr=1e-3,
        lr_schedule=None,
        gradient_clip=None,
        weight_decay=1e-4,
        max_epochs=100,
        batch_size=32,
        early_stopping="auto",
        validation_fraction=0.15,
        patience=10,
        group_key=None,
        device="auto",
        precision="auto",
        random_state=None,
        callbacks=None,
        warm_start=False,
        verbose=0,
    ):
        self.n_components = n_components
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.noise = noise
        self.tied = tied
        self.sparsity = sparsity
        self.contractive = contractive
        self.loss = loss
        self.dropout = dropout
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
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X, y=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression, usually logged.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), optional
            Beside an array: samples of one group (donor) stay on one side of the
            early-stopping split. For DataFrame and AnnData name them by ``group_key``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the loss becomes infinite or NaN.
        """
        self._fit(X, resume=self.warm_start and hasattr(self, "net_"), groups=groups)
        return self

    def partial_fit(self, X, y=None):
        """Train for one more epoch, without early stopping.

        Center and scale come from the first call.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        self
        """
        self._fit(X, resume=hasattr(self, "net_"), epochs=1)
        return self

    def transform(self, X):
        """Embed every sample, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        container like X, of shape (n_samples, n_components)
        """
        matrix = self._values(X)
        return self._map(
            X,
            matrix,
            lambda block: self._apply_block(block, self.net_.module_.encode),
            genes=self.get_feature_names_out(),
            n_columns=self._n_features_out,
            dtype=self._dtype,
            sparse=False,
        )

    def inverse_transform(self, X):
        """Restore expression from the embedding: what is left is what genes share.

        Parameters
        ----------
        X : {array, DataFrame, AnnData} of shape (n_samples, n_components)
            As ``transform`` gives it.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Denoised expression; for a loss of counts, those expected in a library of the
            median size of the training samples.
        """
        check_is_fitted(self)
        matrix = check_components(self, X)
        restored = map_rows(
            matrix,
            lambda block: self._apply_block(block, self._decode),
            n_columns=self.n_features_in_,
            dtype=self._dtype,
            sparse=False,
        )
        return like(X, restored, genes=gene_names_in(self))

    @property
    def _n_features_out(self):
        return self.architecture_["n_components"]

    @property
    def _dtype(self):
        return self.net_.module_.center.cpu().numpy().dtype

    def _fit(self, X, *, resume, groups=None, epochs=None):
        self._check_settings()
        matrix = self._values(X, reset=not resume)
        if not resume:
            self._learn_start(matrix)
        architecture = {
            "n_inputs": self.n_features_in_,
            "n_components": int(self.n_components),
            "hidden_layers": [int(width) for width in self.hidden_layers],
            "activation": self.activation,
            "dropout": float(self.dropout),
            "noise": float(self.noise),
            "tied": bool(self.tied),
            "sparsity": float(self.sparsity),
            "contractive": float(self.contractive),
            "loss": self.loss,
        }
        self._train(matrix, architecture, X=X, groups=groups, resume=resume, epochs=epochs)

    def _learn_start(self, matrix):
        if self.loss == "mse":
            self._begin = start_of_values(matrix)
        else:
            found = count_profile(matrix)
            warn_zero_depth(found.libraries, type(self).__name__)
            self.median_library_size_ = float(np.median(found.filled))
            self._begin = start_of_counts(found)
        self.center_, self.scale_ = self._begin["center"], self._begin["scale"]

    def _values(self, X, *, reset=False):
        return self._check(X, reset=reset, counts=self.loss != "mse")

    def _decode(self, z):
        if self.loss == "mse":
            return self.net_.module_.decode(z)
        library = torch.full_like(z[:, 0], self.median_library_size_)
        return self.net_.module_.decode(z, library)

    def _prepare(self, module):
        module.start({name: torch.as_tensor(value) for name, value in self._begin.items()})
        del self._begin

    def _take_over(self, old, places):
        super()._take_over(old, places)
        module = self.net_.module_
        self.center_, self.scale_ = module.center.cpu().double().numpy(), float(module.scale)

    def _check_settings(self):
        super()._check_settings()
        check_number("n_components", self.n_components, least=1, whole=True)
        for name in ("noise", "sparsity", "contractive"):
            check_number(name, getattr(self, name), least=0)
        check_choice("loss", self.loss, ("mse", "poisson", "nb"))

    @staticmethod
    def _build(dtype, generator, **architecture):
        return nets.Autoencoder(**architecture, dtype=dtype, generator=generator)

    @staticmethod
    def _loss(module, output, batch):
        return module.loss(output, batch[0], batch.weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.loss != "mse"
        return tags
