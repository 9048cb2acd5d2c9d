"""Modules, losses, gathering and the training core, without any estimator."""

import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from geneexpr import nets


def generator(seed=0):
    return nets.make_generator(seed)


@pytest.fixture
def untouched_global_generator():
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


# ------------------------------------------------------------------ layers and modules


@pytest.mark.usefixtures("untouched_global_generator")
@pytest.mark.parametrize(
    "build",
    [
        lambda g: nets.MLP(6, 3, hidden_layers=(5, 4), dropout=0.3, generator=g),
        lambda g: nets.Autoencoder(6, 2, hidden_layers=(5,), noise=1.0, dropout=0.3, generator=g),
    ],
    ids=["mlp", "autoencoder"],
)
def test_a_module_depends_on_its_generator_alone(build):
    x = torch.ones(4, 6)
    first, second, other = build(generator(1)), build(generator(1)), build(generator(2))
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))


def test_mlp_is_the_formula():
    net = nets.MLP(3, 2, hidden_layers=(4,), activation="tanh", generator=generator())
    (w1, b1, w2, b2) = (p.detach().numpy() for p in net.parameters())
    x = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    expected = np.tanh(x @ w1 + b1) @ w2.T + b2
    np.testing.assert_allclose(net(torch.tensor(x)).detach(), expected, rtol=1e-5)


def test_no_hidden_layer_is_a_linear_model():
    net = nets.MLP(3, 1, hidden_layers=(), generator=generator())
    assert [tuple(p.shape) for p in net.parameters()] == [(3, 1), (1,)]


def test_linear_starts_within_the_bound_of_its_width():
    weight = nets.linear(100, 50, generator=generator()).weight.detach()
    assert weight.abs().max() <= 0.1
    assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_dropout_keeps_the_mean_and_rests_in_evaluation():
    layer = nets.Dropout(0.25, generator())
    x = torch.ones(200, 200)
    out = layer(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert layer.eval()(x) is x


def test_noise_has_its_scale_and_rests_in_evaluation():
    layer = nets.GaussianNoise(0.5, generator())
    x = torch.full((200, 200), 3.0)
    out = layer(x)
    assert (out - x).std().item() == pytest.approx(0.5, abs=0.01)
    assert layer.eval()(x) is x


def test_autoencoder_centres_scales_and_puts_back():
    net = nets.Autoencoder(2, 1, hidden_layers=(), generator=generator())
    net.center.copy_(torch.tensor([1.0, -1.0]))
    net.scale.fill_(4.0)
    x = torch.tensor([[5.0, 3.0]])
    assert net.standardize(x).tolist() == [[1.0, 1.0]]
    restored = net.eval()(x) * 4 + net.center
    torch.testing.assert_close(net.decode(net.encode(x)), restored)


# ------------------------------------------------------------------ losses


def test_classification_loss_by_hand():
    scores = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
    expected = (np.log(np.exp([2.0, 0.0, -1.0]).sum()) - 2.0 + np.log(3)) / 2
    loss = nets.classification_loss(scores, torch.tensor([0, 2]))
    assert loss.item() == pytest.approx(expected)


def test_binary_loss_is_that_of_two_columns():
    odds, codes = torch.tensor([[1.5], [-0.3], [40.0]]), torch.tensor([1, 1, 0])
    two = torch.cat([torch.zeros_like(odds), odds], dim=1)
    one, both = nets.classification_loss(odds, codes), nets.classification_loss(two, codes)
    torch.testing.assert_close(one, both)


@pytest.mark.parametrize("n_columns", [1, 3])
def test_a_weight_of_two_is_a_row_given_twice(n_columns):
    scores = torch.randn(4, n_columns, generator=generator())
    codes, weight = torch.tensor([0, 1, 1, 0]), torch.tensor([2.0, 1.0, 0.0, 1.0])
    weighted = nets.classification_loss(scores, codes, weight / weight.mean())
    twice = nets.classification_loss(scores[[0, 0, 1, 3]], codes[[0, 0, 1, 3]])
    torch.testing.assert_close(weighted, twice)


def test_reconstruction_loss_weighted():
    output, target = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 2)
    assert nets.reconstruction_loss(output, target).item() == 2.5
    assert nets.reconstruction_loss(output, target, torch.tensor([2.0, 0.0])).item() == 5.0


def test_probabilities_sum_to_one_and_bear_extremes():
    odds = torch.tensor([[-1e4], [0.0], [1e4]])
    assert nets.probabilities(odds).tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    scores = torch.randn(50, 4, generator=generator()) * 100
    torch.testing.assert_close(nets.probabilities(scores).sum(1), torch.ones(50))


# ------------------------------------------------------------------ gathering


@pytest.fixture
def matrix():
    rng = np.random.default_rng(0)
    return np.where(rng.random((23, 5)) < 0.4, rng.normal(size=(23, 5)), 0.0)


def in_blocks(X, step=4, **options):
    edges = [*range(0, len(X), step), len(X)]
    return nets.BlockRows(lambda start, stop: X[start:stop], edges, X.dtype, **options)


SOURCES = {
    "dense": nets.rows_of,
    "csr": lambda X: nets.rows_of(sp.csr_matrix(X)),
    "csc": lambda X: nets.rows_of(sp.csc_array(X)),
    "blocks": in_blocks,
    "small blocks": lambda X: in_blocks(X, read_ahead_bytes=1),
    "csr blocks": lambda X: nets.BlockRows(
        lambda start, stop: sp.csr_matrix(X)[start:stop], [0, 7, 8, 23], X.dtype
    ),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_batches_give_every_chosen_row_once(matrix, source, shuffle):
    rows = SOURCES[source](matrix)
    index = torch.tensor([0, 1, 3, 4, 8, 11, 12, 13, 20, 22])
    seen = []
    for numbers, x in rows.batches(index, 3, generator() if shuffle else None):
        np.testing.assert_array_equal(x, matrix[numbers.numpy()])
        assert 0 < len(x) <= 3
        seen += numbers.tolist()
    assert len(rows) == 23
    assert sorted(seen) == index.tolist()
    if not (shuffle or "blocks" in source):
        assert seen == index.tolist()
    if shuffle:
        assert seen != index.tolist()


def test_batches_are_of_even_size():
    sizes = [len(x) for _, x in nets.rows_of(np.zeros((129, 2))).batches(torch.arange(129), 128)]
    assert sizes == [65, 64]


def test_a_read_only_array_is_read_without_copy_or_warning():
    X = np.arange(6.0).reshape(3, 2)
    X.flags.writeable = False
    tensor = nets.as_tensor(X)
    assert tensor.data_ptr() == X.ctypes.data
    assert tensor.tolist() == X.tolist()


def test_one_buffer_is_read_ahead_and_no_more(matrix):
    held = []

    def read(start, stop):
        held.append(stop - start)
        return matrix[start:stop]

    block = matrix[:4].nbytes
    rows = nets.BlockRows(read, [*range(0, 23, 4), 23], matrix.dtype, read_ahead_bytes=2 * block)
    batches = rows.batches(torch.arange(23), 2, generator())
    next(batches)
    time.sleep(0.2)
    assert len(held) == 5  # two of this buffer, two of the next, the first of the one behind
    assert threading.active_count() > 1
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("geneexpr-read-ahead")]
    assert len(held) == 5


def test_a_reader_that_fails_is_heard():
    def read(start, stop):
        raise OSError("the disk is gone")

    rows = nets.BlockRows(read, [0, 2, 4], float)
    with pytest.raises(OSError, match="the disk is gone"):
        list(rows.batches(torch.arange(4), 2))


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix])
def test_apply_rows_in_blocks_of_any_size(matrix, make):
    whole = nets.apply_rows(lambda x: 2 * x, make(matrix), dtype=torch.float64)
    parts = nets.apply_rows(lambda x: 2 * x, make(matrix), dtype=torch.float64, n_bytes=1)
    np.testing.assert_array_equal(whole, 2 * matrix)
    np.testing.assert_array_equal(parts, whole)


# ------------------------------------------------------------------ the training core


def test_weights_and_optimiser_survive_as_arrays():
    def step(net, optimizer):
        optimizer.zero_grad()
        net(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()

    def made():
        net = nets.MLP(4, 2, hidden_layers=(3,), generator=generator())
        return net, nets.make_optimizer(net, lr=0.1, weight_decay=0.5)

    net, optimizer = made()
    step(net, optimizer)
    weights, memory = nets.weights_to_arrays(net), nets.optimizer_to_arrays(optimizer)
    assert all(isinstance(w, np.ndarray) for w in weights.values())
    again, other = made()
    nets.weights_from_arrays(again, weights)
    nets.optimizer_from_arrays(other, memory)
    step(net, optimizer)
    step(again, other)
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_optimiser_decays_matrices_and_not_offsets():
    net = nets.MLP(4, 2, hidden_layers=(3,), generator=generator())
    groups = nets.make_optimizer(net, lr=0.1, weight_decay=0.5).param_groups
    assert [(g["weight_decay"], {p.ndim for p in g["params"]}) for g in groups] == [
        (0.5, {2}),
        (0.0, {1}),
    ]


def test_best_weights_are_restored():
    net = nets.MLP(2, 1, hidden_layers=(), generator=generator())
    best = nets.BestWeights(net)
    kept = [p.detach().clone() for p in net.parameters()]
    assert best.offer(0.5, 1)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1)
    assert not best.offer(0.7, 2)
    best.restore()
    assert all(torch.equal(p, k) for p, k in zip(net.parameters(), kept, strict=True))
    assert best.epoch == 1


def test_unknown_or_absent_devices_are_named():
    with pytest.raises(ValueError, match=r"device must be one of 'auto', 'cpu', .* got 'tpu'"):
        nets.choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="PyTorch finds none"):
            nets.choose_device("cuda")
    assert nets.choose_device("cpu") == "cpu"


class TestGeneLinear:
    def layers(self, dtype=torch.float64):
        ours = nets.GeneLinear(30, 4, dtype=dtype, generator=generator())
        plain = torch.nn.Linear(30, 4, dtype=dtype)
        with torch.no_grad():
            plain.weight.copy_(ours.weight.T)
            plain.bias.copy_(ours.bias)
        return ours, plain

    def test_values_and_gradients_are_those_of_linear(self):
        ours, plain = self.layers()
        x = torch.randn(6, 30, dtype=torch.float64, generator=generator())
        for layer in (ours, plain):
            (layer(x) ** 2).sum().backward()
        torch.testing.assert_close(ours(x), plain(x), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours.weight.grad.T, plain.weight.grad, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours.bias.grad, plain.bias.grad, rtol=1e-12, atol=1e-12)

    def test_an_input_may_ask_for_its_gradient(self):
        """Explanations do, in evaluation and in training mode."""
        ours, plain = self.layers()
        for mode in (True, False):
            ours.train(mode)
            x = torch.ones(2, 30, dtype=torch.float64, requires_grad=True)
            (found,) = torch.autograd.grad(ours(x).sum(), x)
            (expected,) = torch.autograd.grad(plain(x).sum(), x)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

    def test_the_memory_of_the_gradient_is_used_again(self):
        ours, plain = self.layers()
        x = torch.randn(6, 30, dtype=torch.float64, generator=generator())
        places = set()
        for step in range(4):
            nets.recycle_gradients(ours)
            assert ours.weight.grad is None
            for layer in (ours, plain):
                ((step + 1) * layer(x)).sum().backward()
            places.add(ours.weight.grad.data_ptr())
            torch.testing.assert_close(
                ours.weight.grad.T, plain.weight.grad, rtol=1e-12, atol=1e-12
            )
            plain.weight.grad = None
        assert len(places) == 1

    def test_gradients_add_up_where_nothing_is_recycled(self):
        ours, plain = self.layers()
        x = torch.randn(6, 30, dtype=torch.float64, generator=generator())
        for _ in range(2):
            for layer in (ours, plain):
                (layer(x) ** 2).sum().backward()
        torch.testing.assert_close(ours.weight.grad.T, plain.weight.grad, rtol=1e-12, atol=1e-12)
