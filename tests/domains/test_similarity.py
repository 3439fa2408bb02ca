import math

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from transferlib.domains.similarity import linear_cka, near_duplicates, nearest_neighbours
from transferlib.errors import UserError


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 6, generator=g)
    return x, x @ torch.randn(6, 4, generator=g) + torch.randn(50, 4, generator=g)


def gram_cka(x, y, debiased):
    """The definition on (N, N) Gram matrices: HSIC, or the unbiased HSIC of Song et al. (2012), equation 5."""
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)

    def hsic(k, m):
        if not debiased:
            h = torch.eye(n).double() - 1 / n
            return (k @ h @ m @ h).trace()
        k, m = k.clone().fill_diagonal_(0), m.clone().fill_diagonal_(0)
        middle = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
        return (k @ m).trace() + middle - 2 / (n - 2) * (one @ k @ m @ one)

    k, m = (z.double() @ z.double().T for z in (x, y))
    return float(hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt())


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_equals_the_gram_matrix_definition(pair, debiased):
    x, y = pair[0] + 7, pair[1] - 3
    assert linear_cka(x, y, debiased) == pytest.approx(gram_cka(x, y, debiased), abs=1e-6)


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_ignores_rotation_scale_and_shift(pair, debiased):
    x, y = pair
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    assert linear_cka(5 * x @ rotation + 100, y, debiased) == pytest.approx(linear_cka(x, y, debiased), abs=1e-5)
    assert linear_cka(x, -0.1 * x @ rotation, debiased) == pytest.approx(1, abs=1e-5)


def test_cka_sees_a_stretch(pair):
    x, _ = pair
    assert linear_cka(x, x * torch.tensor([30.0, 1, 1, 1, 1, 1])) < 0.8


def test_debiased_cka_is_zero_on_average_for_unrelated_features():
    g = torch.Generator().manual_seed(2)
    pairs = [(torch.randn(20, 30, generator=g), torch.randn(20, 30, generator=g)) for _ in range(200)]
    values = torch.tensor([linear_cka(x, y, debiased=True) for x, y in pairs])
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(200)
    assert linear_cka(*pairs[0]) > 0.4  # the plain value sees structure where there is none


def test_neighbours_equal_sklearn_over_batches():
    g = torch.Generator().manual_seed(3)
    queries, bank = torch.rand(23, 8, generator=g), torch.rand(40, 8, generator=g)
    similarity, index = nearest_neighbours(queries, bank, batch_size=5)
    model = NearestNeighbors(n_neighbors=1, metric="cosine").fit(bank - bank.mean(0))
    distance, expected = model.kneighbors(queries - bank.mean(0))
    assert index.tolist() == expected[:, 0].tolist()
    assert torch.allclose(similarity, 1 - torch.as_tensor(distance[:, 0]).float(), atol=1e-5)


def test_a_row_may_not_find_itself():
    bank = torch.randn(12, 5, generator=torch.Generator().manual_seed(4))
    assert nearest_neighbours(bank, bank)[1].tolist() == list(range(12))
    assert not (nearest_neighbours(bank, bank, batch_size=5, exclude_self=True)[1] == torch.arange(12)).any()


def test_a_planted_duplicate_is_found_and_a_control_is_not():
    g = torch.Generator().manual_seed(5)
    train, test = torch.rand(300, 64, generator=g), torch.rand(50, 64, generator=g)
    # Brighter and noisy, as another export of one picture would be; after a ReLU all features are positive.
    test[17] = 1.3 * train[111] + 0.02 * torch.randn(64, generator=g)
    found, twin = near_duplicates(test, train)
    assert found.tolist() == [17]
    assert twin.tolist() == [111]


def test_bad_input_gets_one_sentence(pair):
    x, y = pair
    with pytest.raises(UserError, match="50 and 49 rows"):
        linear_cka(x, y[:49])
    with pytest.raises(UserError, match="first features are constant"):
        linear_cka(torch.ones(50, 3), y)
    with pytest.raises(UserError, match="second features hold NaN"):
        linear_cka(x, y * float("nan"))
    with pytest.raises(UserError, match="at least 4"):
        linear_cka(x[:3], y[:3], debiased=True)
    with pytest.raises(UserError, match=r"threshold = 1\.5"):
        near_duplicates(x, x, threshold=1.5)
    with pytest.raises(UserError, match="6 features and the bank 4"):
        nearest_neighbours(x, y)
    with pytest.raises(UserError, match="query features hold NaN"):
        nearest_neighbours(x[:1] * float("nan"), x)
    with pytest.raises(UserError, match="exclude_self needs one set"):
        nearest_neighbours(x[:9], x, exclude_self=True)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 40, 100])
def test_a_set_beside_itself_in_batches_is_the_whole_table(batch_size):
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    unit = torch.nn.functional.normalize(x - x.mean(0), dim=1)
    table = (unit @ unit.T).fill_diagonal_(-torch.inf)
    similarity, index = nearest_neighbours(x, x, batch_size, exclude_self=True)
    assert torch.allclose(similarity, table.max(1).values) and torch.equal(index, table.argmax(1))
    other = torch.randn(9, 5, generator=torch.Generator().manual_seed(4), dtype=torch.double)
    table = torch.nn.functional.normalize(other - x.mean(0), dim=1) @ unit.T
    similarity, index = nearest_neighbours(other, x, batch_size)
    assert torch.allclose(similarity, table.max(1).values) and torch.equal(index, table.argmax(1))
