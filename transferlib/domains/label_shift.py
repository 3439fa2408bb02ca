"""Label shift: the classes look the same in both domains, but their shares differ. Find the new shares, and use them.

Aligning features cannot cure it: the means differ because the mixture does, and moving them mixes the classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlib.errors import UserError
from transferlib.tensors import at_least_single, class_numbers
from transferlib.tuning.probes import Probe


def target_shares(probabilities: Tensor, source_shares: Tensor, steps: int = 1000) -> Tensor:
    """The classes' shares in the target, from predictions on unlabelled target examples, by maximum likelihood.

    max over π of Σ_n log Σ_c π_c p_nc / q_c, where q are the shares the model was trained with. The expectation step
    is :func:`with_shares`, the maximisation step its mean; each raises the likelihood, which has one maximum.

    Args:
        probabilities: p(class | x) of the model, on target examples (N, C). They must be calibrated: fit a temperature
            on source labels first.
        source_shares: q (C,), each above 0, such as ``y.bincount() / len(y)`` of the training labels.
        steps: at most; the walk ends earlier when no share moves by more than 1e-7.

    Returns:
        π (C,), adding up to 1.

    Raises:
        UserError: rows or shares that are no probabilities, a class without a share, unlike numbers of classes.

    Paper: Saerens, Latinne & Decaestecker 2002, Adjusting the Outputs of a Classifier to New a Priori Probabilities,
    equation 2.4.

    >>> import torch
    >>> sure = torch.tensor([[0.9, 0.1]] * 1 + [[0.1, 0.9]] * 3)  # trained on halves; three of four look like class 1
    >>> target_shares(sure, torch.tensor([0.5, 0.5]))
    tensor([0.1875, 0.8125])
    """
    p, q = _checked(probabilities, source_shares)
    shares = q
    for _ in range(steps):
        before, shares = shares, with_shares(p, q, shares).mean(0)
        if float((shares - before).abs().max()) < 1e-7:
            break
    return shares.to(at_least_single(probabilities).dtype)


def black_box_shares(predicted: Tensor, y: Tensor, target_predicted: Tensor, n_classes: int) -> Tensor:
    """The classes' shares in the target, from the answers of any classifier, right or wrong: BBSE.

    Under label shift, the share of the answer i in the target is Σ_j P(answer i | class j) · π_j. The mistakes
    P(answer i | class j) are counted on labelled source examples that the classifier was not fitted on, and the
    equations are solved for π; what comes out below 0 is set to 0. No calibration is needed, only answers.

    Args:
        predicted: answers (N,) on held-out source examples. y: their labels (N,), each class at least once.
        target_predicted: answers (M,) on unlabelled target examples. n_classes: C ≥ 2.

    Returns:
        π (C,), adding up to 1.

    Raises:
        UserError: no examples, answers that are no class numbers, a class without a source example, or answers that
            do not tell the classes apart.

    Paper: Lipton, Wang & Smola 2018, Detecting and Correcting for Label Shift with Black Box Predictors.

    >>> y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    >>> said = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])  # one answer in four is wrong
    >>> black_box_shares(said, y, torch.tensor([0] * 3 + [1] * 5), 2)  # 5/8 = 1/4 + 1/2 · 3/4
    tensor([0.2500, 0.7500])
    """
    said, told, away = (class_numbers(t, len(t)).cpu() for t in (predicted, y, target_predicted))
    if len(said) != len(told) or len(said) == 0 or len(away) == 0:
        raise UserError(f"BBSE got {len(said)} answers for {len(told)} labels, and {len(away)} answers in the target.")
    if max(int(t.max()) for t in (said, told, away)) >= n_classes:
        raise UserError(f"Answers and labels must lie in 0 … {n_classes - 1}.")
    counts = told.bincount(minlength=n_classes).double()
    if bool((counts == 0).any()):
        raise UserError(f"Class {int(counts.argmin())} has no source example: label some of it.")
    mistakes = torch.zeros(n_classes, n_classes, dtype=torch.double)  # row: answer, column: class
    mistakes.index_put_((said, told), torch.ones(len(said), dtype=torch.double), accumulate=True)
    mistakes = mistakes / counts
    if float(torch.linalg.svdvals(mistakes)[-1]) < 1e-3:
        raise UserError("The answers do not tell the classes apart: no shares follow from them.")
    shares = torch.linalg.solve(mistakes, away.bincount(minlength=n_classes).double() / len(away)).clamp(min=0)
    return (shares / shares.sum()).float()


def left_out_scores(probe: Probe, x: Tensor, y: Tensor) -> Tensor:
    """What a probe says of each example it was fitted on, had that example been left out: scores (N, C), exactly.

    The error of a ridge regression on an example that it has not seen is its error divided by 1 − leverage, so no
    probe is fitted again. λ stays the probe's.

    Args:
        probe: made by :func:`transferlib.tuning.probes.fit_probe` of ``x`` (N, D) and ``y`` (N,), not balanced.

    >>> from transferlib.tuning.probes import fit_probe
    >>> x, y = torch.tensor([[0.0, 1.0], [1.0, 1.0], [4.0, 0.0], [5.0, 0.0]]), torch.tensor([0, 0, 1, 1])
    >>> left_out_scores(fit_probe(x, y), x, y).argmax(1)
    tensor([0, 0, 1, 1])
    """
    rows = (x - x.mean(0)).double()
    scores = (x @ probe.weight + probe.bias).double()
    goal = F.one_hot(y.long(), scores.shape[1]).double()
    penalty = probe.lam * rows.square().sum() / len(rows)
    gram = rows.T @ rows + penalty * torch.eye(rows.shape[1], dtype=torch.double)
    leverage = (torch.linalg.solve(gram, rows.T).T * rows).sum(1) + 1 / len(rows)
    return (goal - (goal - scores) / (1 - leverage)[:, None]).to(at_least_single(x))


def calibrated(scores: Tensor, y: Tensor, penalty: float = 1e-3) -> tuple[float, Tensor]:
    """A temperature and a bias a class that turn scores into probabilities: softmax(scores / temperature + bias).

    Minimises the mean cross-entropy plus ``penalty`` · Σ bias². With a bias, the mean of the probabilities is the
    classes' share, which :func:`target_shares` needs.

    Args:
        scores: (N, C) of examples that the classifier was not fitted on. y: labels (N,).

    Returns:
        The temperature > 0 and the bias (C,).

    Raises:
        UserError: labels that are no class numbers, or unlike numbers of scores and labels.

    Paper: Alexandari, Kundaje & Shrikumar 2020, Maximum Likelihood with Bias-Corrected Calibration.

    >>> scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]] * 5)
    >>> temperature, bias = calibrated(scores, torch.tensor([0, 0, 1, 1] * 5), penalty=0.0)
    >>> (scores / temperature + bias).softmax(1).mean(0)
    tensor([0.5000, 0.5000])
    """
    if scores.ndim != 2 or len(scores) != len(y):
        raise UserError(f"Calibration got scores {tuple(scores.shape)} for {len(y)} labels: (N, C) and (N,) fit.")
    rows = at_least_single(scores).detach().double().cpu()
    y = class_numbers(y, len(rows)).cpu()
    log_slope = torch.zeros((), dtype=torch.double, requires_grad=True)
    bias = torch.zeros(rows.shape[1], dtype=torch.double, requires_grad=True)
    unit = float(rows.std().clamp(min=1e-12))
    optimiser = torch.optim.LBFGS([log_slope, bias], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        wrong = F.cross_entropy(rows / unit * log_slope.exp() + bias, y) + penalty * bias.square().sum()
        wrong.backward()
        return wrong

    optimiser.step(loss)
    return unit / float(log_slope.detach().exp()), bias.detach().to(at_least_single(scores))


def with_shares(probabilities: Tensor, source_shares: Tensor, shares: Tensor) -> Tensor:
    """p(class | x) as it is when the classes have ``shares`` (C,) instead of ``source_shares``: (N, C) → (N, C).

    Bayes' rule: p_nc · π_c / q_c, divided by its sum over c. Raises ``UserError`` as :func:`target_shares` does.

    >>> import torch
    >>> with_shares(torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.8]))
    tensor([[0.2000, 0.8000]])
    """
    p, q = _checked(probabilities, source_shares)
    _, new = _checked(probabilities, shares, zero=True)
    joint = p * (new / q)  # (N, C)
    return (joint / joint.sum(1, keepdim=True)).to(at_least_single(probabilities).dtype)


def _checked(probabilities: Tensor, shares: Tensor, zero: bool = False) -> tuple[Tensor, Tensor]:
    """Both in float64. ``zero`` allows a class to have no share."""
    p, q = at_least_single(probabilities).double(), at_least_single(shares).double().to(probabilities.device)
    if p.ndim != 2 or len(p) == 0 or q.shape != p.shape[1:]:
        raise UserError(f"Got probabilities {tuple(p.shape)} and {tuple(q.shape)} shares: (N ≥ 1, C) and (C,) fit.")
    for name, rows in (("probabilities", p), ("shares", q[None])):
        if not bool((rows >= 0).all()) or float((rows.sum(1) - 1).abs().max()) > 1e-2:
            raise UserError(f"The {name} must be ≥ 0 and add up to 1: use softmax(logits), or counts / their sum.")
    if not zero and bool((q == 0).any()):
        raise UserError(f"Class {int(q.argmin())} has no share of the source: leave it out, or label some of it.")
    return p, q
