"""A variational autoencoder that embeds counts."""

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._containers import like
from ._inverse import check_components, gene_names_in
from ._variational_network import VariationalNetwork


class VariationalAutoencoderEmbedder(ClassNamePrefixFeaturesOutMixin, VariationalNetwork):
    """Embed counts with a variational autoencoder, trained in PyTorch.

    A sample has a few components, normal to begin with; a decoder turns them into each
    gene's share of the library, and counts scatter around that share of the sample's own
    library size (its total, an offset) by the ``likelihood``. An encoder tells the
    components of a sample, as a normal distribution, from the logarithm of its counts.
    Both are trained to raise the evidence bound, which is at most the log-probability of
    the counts.

    With batches the decoder has one column for each, so that components need not tell what
    the batch explains. The encoder does not see the batch: a sample of a new one can be
    embedded. Expression is decoded as the mean over all batches.

    Row-independent. ``fit`` reads the data once for what is known of the genes, then once an
    epoch in mini-batches, the only part of sparse input that is ever dense; peak memory is
    the weights (four times, while training), some blocks of 32 MiB and one mini-batch.

    Parameters
    ----------
    n_components : int, default=10
        Width of the embedding.
    likelihood : {"nb", "zinb", "poisson", "gaussian"}, default="nb"
        Of counts: negative binomial with one dispersion a gene, the same with more zeros, or
        Poisson. "gaussian" is for expression on a log scale (microarrays), without library
        size and with one standard deviation a gene.
    hidden_layers : sequence of int, default=(128,)
        Width of each layer between genes and components; the decoder mirrors them.
    batch_key : str, optional
        Annotation that names batches. For arrays pass ``batch=``.
    unseen_batch : {"raise", "mix"}, default="raise"
        What becomes of samples of a batch that ``fit`` has not seen: raise, or embed them as
        any other and take the mean over all batches where the decoder asks for one.
    layer : str, optional
        The layer of an AnnData that holds the counts, instead of ``X``.
    kl_warmup : int, default=20
        Epochs over which the weight of the divergence from the prior grows to one, so that
        components are found before they are held small.
    activation : {"relu", "gelu", "silu", "elu", "tanh", "identity"}, default="tanh"
        Of the hidden layers.
    dropout : float, default=0.5
        Share of the units of each hidden layer of the encoder that are dropped in training.
        Much of it helps: the encoder then reads a component from many genes, components that
        no unit carries alone stay empty, and bounds of new samples rise.
    lr : float, default=3e-3
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
    batch_size : int, default=128
        Samples in a mini-batch, at most.
    early_stopping : bool or "auto", default="auto"
        Hold out some samples, stop when the loss on them falls no more, and keep the
        weights of the best epoch. "auto" does so from 500 samples on.
    validation_fraction : float, default=0.15
        Share of the samples held out, every batch in proportion.
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
        Seeds the start, the shuffling, the draws, dropout and the validation split.
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
    batches_ : list of str
        The batches seen in `fit`; none without labels.
    batch_proportions_ : array of shape (n_batches,)
        Share of the training samples in each.
    median_library_size_ : float
        Of the training samples; 1 for a Gaussian likelihood.
    library_spread_ : float
        Standard deviation of the log of the library sizes, for `sample`.
    loss_curve_ : list of float
        Mean negative evidence bound of a sample in each epoch, its divergence weighted as in
        that epoch; of the validation split (``history_``) it is the bound itself.
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
    AutoencoderEmbedder : Without a distribution of the components, for any scale.

    References
    ----------
    .. [1] Kingma, Welling (2014), "Auto-encoding variational Bayes", ICLR,
       doi:10.48550/arXiv.1312.6114.
    .. [2] Lopez, Regier, Cole, Jordan, Yosef (2018), "Deep generative modeling for
       single-cell transcriptomics", Nature Methods 15, 1053-1058,
       doi:10.1038/s41592-018-0229-2.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import VariationalAutoencoderEmbedder
    >>> rng = np.random.default_rng(0)
    >>> mean = np.exp(rng.normal(size=(60, 2)) @ rng.normal(size=(2, 20)) + 3)
    >>> X = rng.poisson(mean).astype(np.float32)
    >>> model = VariationalAutoencoderEmbedder(2, random_state=0).fit(X)
    >>> model.transform(X).shape, model.denoise(X).shape, model.sample(3).shape
    ((60, 2), (60, 20), (3, 20))
    >>> bool(np.corrcoef(model.denoise(X).ravel(), mean.ravel())[0, 1] > 0.9)
    True
    """

    def __init__(
        self,
        n_components=10,
        *,
        likelihood="nb",
        hidden_layers=(128,),
        batch_key=None,
        unseen_batch="raise",
        layer=None,
        kl_warmup=20,
        activation="tanh",
        dropout=0.5,
        lr=3e-3,
        lr_schedule=None,
        gradient_clip=None,
        weight_decay=1e-4,
        max_epochs=100,
        batch_size=128,
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
        self.likelihood = likelihood
        self.hidden_layers = hidden_layers
        self.batch_key = batch_key
        self.unseen_batch = unseen_batch
        self.layer = layer
        self.kl_warmup = kl_warmup
        self.activation = activation
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

    def fit(self, X, y=None, *, batch=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts (a Gaussian likelihood: expression on a log scale).
        y : None
            Ignored.
        batch : array-like of shape (n_samples,), optional
            Batch of each sample, for arrays, which carry no annotations.
        groups : array-like of shape (n_samples,), optional
            Beside an array: samples of one group (donor) stay on one side of the
            early-stopping split. For DataFrame and AnnData name them by ``group_key``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If counts are negative, or the loss becomes infinite or NaN.
        """
        self._fit(X, batch, resume=self.warm_start and hasattr(self, "net_"), groups=groups)
        return self

    def partial_fit(self, X, y=None, *, batch=None):
        """Train for one more epoch, without early stopping.

        What is known of the genes before training (means, dispersions) and which batches
        there are come from the first call.

        Parameters
        ----------
        X, y, batch
            As in `fit`.

        Returns
        -------
        self
        """
        self._fit(X, batch, resume=hasattr(self, "net_"), epochs=1)
        return self

    def fit_transform(self, X, y=None, *, batch=None, groups=None):
        """Train, and embed the training samples.

        Parameters
        ----------
        X, y, batch, groups
            As in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_components)
        """
        return self.fit(X, batch=batch, groups=groups).transform(X, batch=batch)

    def transform(self, X, *, batch=None):
        """Embed every sample, each on its own: the mean of its posterior.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        batch : array-like of shape (n_samples,), optional
            For arrays; it is compared with the batches seen in `fit`, no more.

        Returns
        -------
        container like X, of shape (n_samples, n_components)
        """
        matrix = self._values(X)
        self._codes(X, batch)
        return self._map(
            X,
            matrix,
            lambda block: self._apply_block(block, self.net_.module_.encode),
            genes=self.get_feature_names_out(),
            n_columns=self._n_features_out,
            dtype=self._dtype,
            sparse=False,
        )

    def inverse_transform(self, X, *, library_size=None):
        """Return the expression that components stand for, averaged over the batches.

        Parameters
        ----------
        X : {array, DataFrame, AnnData} of shape (n_samples, n_components)
            As `transform` gives it.
        library_size : float, optional
            Total of the expected counts of a sample, by default the median of the training
            samples.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Expected counts; of a zero-inflated likelihood without the additional zeros. A
            Gaussian likelihood gives expression on the scale of the training samples.
        """
        check_is_fitted(self)
        matrix = check_components(self, X)
        size = self.median_library_size_ if library_size is None else library_size
        module = self.net_.module_

        def decoded(z):
            return module.expression(z, None, torch.full_like(z[:, 0], float(size)))

        restored = self._restored(matrix, decoded)
        return like(X, restored, genes=gene_names_in(self))

    def denoise(self, X, *, library_size=None, as_batch=None):
        """Return the expression expected of each sample, given its counts.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        library_size : float, optional
            Total of the expected counts, by default each sample's own.
        as_batch : str, optional
            The batch seen in `fit` in which all samples are to be expected; by default the
            mean over all of them.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            As `inverse_transform` gives it.
        """
        matrix = self._values(X)
        code = None if as_batch is None else int(self._encode([as_batch], "as_batch")[0])
        module = self.net_.module_

        def denoised(x):
            codes = None if code is None else torch.full((len(x),), code, device=x.device)
            size = x.sum(1) if library_size is None else torch.full_like(x[:, 0], library_size)
            return module.expression(module.encode(x), codes, size)

        genes = None if self.layer is None else gene_names_in(self)
        return self._like(X, self._restored(matrix, denoised), genes=genes)

    def sample(self, n_samples=1, *, batch=None, random_state=None):
        """Generate samples.

        Components are drawn from the prior (standard normal), the batch in the proportions of
        the training samples, the library size from a log-normal distribution around their
        median, and values from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
        batch : str, optional
            The batch seen in `fit` that all samples are to be of.
        random_state : int, RandomState or None, default=None
            None takes that of the estimator.

        Returns
        -------
        array of shape (n_samples, n_genes)
            Counts; of a Gaussian likelihood expression on a log scale.
        """
        check_is_fitted(self)
        seed = self.random_state if random_state is None else random_state
        rng = np.random.default_rng(check_random_state(seed).randint(2**31 - 1))
        codes = rng.choice(max(1, len(self.batches_)), n_samples, p=self.batch_proportions_)
        if batch is not None:
            codes = np.repeat(self._encode([batch], "batch"), n_samples)
        sizes = self.median_library_size_ * np.exp(
            self.library_spread_ * rng.standard_normal(n_samples)
        )
        z = rng.standard_normal((n_samples, self._n_features_out))
        return self._drawn(rng, z, codes, sizes)

    def score_samples(self, X, *, batch=None):
        """Return the evidence bound of every sample: at most its log-probability.

        The expectation over the posterior is the mean over 16 draws, eight and their
        opposites, that are the same for every sample and every call; the divergence is exact.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        batch : array-like of shape (n_samples,), optional
            For arrays. Samples of batches that `fit` has not seen, or of which none is told,
            have the mean of the bounds in all batches, with ``unseen_batch="mix"``.

        Returns
        -------
        array of shape (n_samples,)
            In nats.
        """
        matrix = self._values(X)
        return self._bounds(matrix, self._codes(X, batch, n_rows=matrix.shape[0]))

    def score(self, X, y=None, *, batch=None):
        """Return the mean of `score_samples`.

        Parameters
        ----------
        X, batch
            As in `score_samples`.
        y : None
            Ignored.

        Returns
        -------
        float
        """
        return float(self.score_samples(X, batch=batch).mean())
