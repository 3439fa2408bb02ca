"""Preference losses against bandits with known optima, and by hand."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from transferlib.errors import UserError
from transferlib.preference import (
    advantages,
    best_of_n,
    dpo_loss,
    kl,
    leashed_reward,
    ppo_loss,
    reward_loss,
    same_tokens,
    sequence_log_probs,
    token_log_probs,
)


def minimise(parameters, loss):
    optimiser = torch.optim.LBFGS(parameters, max_iter=500, tolerance_grad=1e-12, tolerance_change=0)

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def text(seed=0, b=2, length=5, v=7):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(b, length, v, generator=g, dtype=torch.double), torch.randint(v, (b, length), generator=g)


def test_sequence_log_probs_sum_the_answer_tokens_by_hand():
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    p = logits.softmax(-1)
    wanted = [
        math.log(p[0, 1, ids[0, 2]] * p[0, 2, ids[0, 3]]),
        sum(math.log(p[1, t - 1, ids[1, t]]) for t in range(1, 5)),
    ]
    assert sequence_log_probs(logits, ids, mask).tolist() == pytest.approx(wanted)
    assert token_log_probs(logits, ids)[:, 0].tolist() == [0, 0]


def test_bradley_terry_recovers_known_rewards():
    truth = torch.tensor([0.0, 0.7, -1.2, 2.0], dtype=torch.double)
    i, j = torch.triu_indices(4, 4, offset=1)
    wins = torch.sigmoid(truth[i] - truth[j])  # how often i is preferred to j
    reward = torch.zeros(4, dtype=torch.double, requires_grad=True)
    minimise(
        [reward],
        lambda: (wins * reward_loss(reward[i], reward[j]) + (1 - wins) * reward_loss(reward[j], reward[i])).mean(),
    )
    assert torch.allclose(reward - reward[0], truth - truth[0], atol=1e-5)


def test_dpo_on_a_bandit_is_the_reference_tilted_by_the_reward():
    reward = torch.tensor([0.0, 0.7, -1.2, 2.0], dtype=torch.double)
    ref, beta = torch.log_softmax(torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.double), 0), 0.6
    i, j = torch.triu_indices(4, 4, offset=1)
    wins = torch.sigmoid(reward[i] - reward[j])
    logits = torch.zeros(4, dtype=torch.double, requires_grad=True)

    def loss():
        p = logits.log_softmax(0)
        one, _, _ = dpo_loss(p[i], p[j], ref[i], ref[j], beta)
        two, _, _ = dpo_loss(p[j], p[i], ref[j], ref[i], beta)
        return (wins * one + (1 - wins) * two).mean()

    minimise([logits], loss)
    assert torch.allclose(logits.softmax(0), (ref + reward / beta).softmax(0), atol=1e-6)


def test_dpo_starts_at_log_two_and_its_implied_rewards_are_beta_log_ratios():
    a, b = torch.tensor([-3.0, -1.0]), torch.tensor([-2.0, -5.0])
    losses, _, _ = dpo_loss(a, b, a, b, 0.1)
    assert losses.tolist() == pytest.approx([math.log(2)] * 2)
    losses, chosen, rejected = dpo_loss(a, b, a - 1, b + 2, 0.1)
    assert chosen.tolist() == pytest.approx([0.1, 0.1])
    assert rejected.tolist() == pytest.approx([-0.2, -0.2])
    assert losses.tolist() == pytest.approx([math.log1p(math.exp(-0.3))] * 2)


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),
        (1.5, 2.0, 1.2 * 2, 0.0),
        (1.5, -2.0, -3.0, -3.0),
        (0.5, 2.0, 1.0, 1.0),
        (0.5, -2.0, -1.6, 0.0),
    ],
)
def test_ppo_clipped_objective_by_hand(ratio, advantage, objective, slope):
    old = torch.tensor([[0.0, -1.0]])
    new = (old + torch.tensor([[9.0, math.log(ratio)]])).requires_grad_()
    mask = torch.tensor([[0, 1]])
    loss = ppo_loss(new, old, torch.tensor([advantage]), mask)
    loss.backward()
    assert loss.item() == pytest.approx(-objective)
    assert new.grad.tolist()[0] == pytest.approx([0.0, -slope])
    assert ppo_loss(new, old, torch.tensor([[0.0, advantage]]), mask).item() == pytest.approx(-objective)


def test_ppo_with_the_kl_leash_reaches_the_tilted_reference_on_a_bandit():
    reward = torch.tensor([0.0, 1.0, -1.0], dtype=torch.double)
    ref, beta = torch.log_softmax(torch.tensor([0.5, -0.5, 0.0], dtype=torch.double), 0), 0.8
    logits = ref.clone().requires_grad_()
    optimiser = torch.optim.SGD([logits], lr=0.5)
    for _ in range(600):
        old = logits.log_softmax(0).detach()
        leashed = leashed_reward(reward, old, ref, beta)
        advantage = leashed - (old.exp() * leashed).sum()
        for _ in range(2):
            optimiser.zero_grad()
            # Every action is a text of one token; the mask weighs it by how often the old policy takes it.
            ppo_loss(logits.log_softmax(0)[:, None], old[:, None], advantage, old.exp()[:, None]).backward()
            optimiser.step()
    assert torch.allclose(logits.softmax(0), (ref + reward / beta).softmax(0), atol=1e-3)


def test_kl_is_zero_at_the_reference_and_equals_its_definition():
    logits, _ = text()
    other, _ = text(seed=3)
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    assert kl(logits, logits, mask).abs().max() == 0
    each = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits), torch.distributions.Categorical(logits=other)
    )
    assert torch.allclose(kl(logits, other, mask), torch.stack([each[0, 1:3].sum(), each[1, 0:4].sum()]))


def test_the_leash_takes_the_log_ratio_off_and_passes_no_gradient():
    policy = torch.tensor([-1.0, -4.0], requires_grad=True)
    leashed = leashed_reward(torch.tensor([1.0, 2.0]), policy, torch.tensor([-2.0, -2.0]), 0.5)
    assert leashed.tolist() == [0.5, 3.0]
    assert not leashed.requires_grad


def test_advantages_are_leave_one_out():
    assert advantages(torch.tensor([1.0, 2.0, 6.0])).tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])


def test_best_of_n_is_the_mean_over_all_choices_of_n():
    g = torch.Generator().manual_seed(0)
    chooser, value = torch.randn(7, generator=g), torch.randn(7, generator=g)
    for n in range(1, 8):
        winners = [max(chosen, key=lambda i: chooser[i]) for chosen in itertools.combinations(range(7), n)]
        assert best_of_n(chooser, value, n).item() == pytest.approx(value[winners].mean().item(), abs=1e-6)
    assert best_of_n(chooser, value, 1).item() == pytest.approx(value.mean().item(), abs=1e-6)
    assert best_of_n(chooser, chooser, 7).item() == pytest.approx(chooser.max().item())


def test_the_best_of_n_is_no_further_away_than_its_bound():
    count = 1000
    for n in (2, 4, 16):
        wins = torch.stack([best_of_n(torch.arange(count), F.one_hot(torch.tensor(j), count), n) for j in range(count)])
        distance = (wins * (wins * count).clamp_min(1e-300).log()).sum()  # from the uniform choice of one
        bound = math.log(n) - (n - 1) / n
        assert bound - 0.01 < distance < bound + 0.01


def test_gradients_flow_to_the_policy_and_not_to_the_old_policy():
    new = torch.tensor([[0.0, -1.0]], requires_grad=True)
    ppo_loss(new, new, torch.ones(1), torch.ones(1, 2)).backward()  # ρ = 1, d ρ / d new = 1
    assert new.grad.tolist() == [[-0.5, -0.5]]


def test_bad_input_is_said_in_one_sentence():
    none, one, two = torch.zeros(0), torch.zeros(1), torch.zeros(2)
    logits, ids = text()
    for call in (lambda: reward_loss(none, none), lambda: dpo_loss(none, none, none, none, 0.1)):
        with pytest.raises(UserError, match="got 0 chosen and 0 rejected"):
            call()
    with pytest.raises(UserError, match="1 chosen and 2 rejected"):
        reward_loss(one, two)
    with pytest.raises(UserError, match="beta = 0"):
        dpo_loss(one, one, one, one, 0)
    with pytest.raises(UserError, match="beta = -1"):
        leashed_reward(one, one, one, -1)
    with pytest.raises(UserError, match="Text 1 of the batch has no answer token"):
        sequence_log_probs(logits, ids, torch.tensor([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]))
    with pytest.raises(UserError, match="NaN or infinity"):
        token_log_probs(logits * math.nan, ids)
    with pytest.raises(UserError, match="clip = 0"):
        ppo_loss(logits[0], logits[0], one, logits[0], clip=0)
    with pytest.raises(UserError, match="no answer token"):
        ppo_loss(torch.zeros(1, 2), torch.zeros(1, 2), one, torch.zeros(1, 2))
    with pytest.raises(UserError, match="two finite rewards"):
        advantages(torch.tensor([1.0, math.nan]))
    for n in (0, 3):
        with pytest.raises(UserError, match=f"n = {n} with 2 answers"):
            best_of_n(two, two, n)
    with pytest.raises(UserError, match="'cat' has id 1 but the reward model's has 2"):
        same_tokens({"dog": 0, "cat": 1}, {"dog": 0, "cat": 2})
    same_tokens({"dog": 0}, {"dog": 0})


def test_log_probs_agree_with_cross_entropy():
    logits, ids = text()
    wanted = -F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(2, 4)
    assert torch.allclose(token_log_probs(logits, ids)[:, 1:], wanted)


def test_shapes_that_would_broadcast_get_one_sentence():
    four, table = torch.zeros(4), torch.zeros(4, 1)
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    with pytest.raises(UserError, match=r"reference of the chosen has shape \(4, 1\), but \(4,\).*squeeze\(1\)"):
        dpo_loss(four, four, table, table, 0.1)  # the losses would be (4, 4)
    with pytest.raises(UserError, match="reference of the rejected"):
        dpo_loss(four, four, four, four[:1], 0.1)
    for chosen, rejected in ((table, table), (four, table), (table, four)):
        with pytest.raises(UserError, match=r"shape \(4, 1\)"):
            reward_loss(chosen, rejected)
    with pytest.raises(UserError, match=r"reference has shape \(4, 1\)"):
        leashed_reward(four, four, table, 0.1)
    with pytest.raises(UserError, match=r"rewards has shape \(4, 1\)"):
        advantages(table)
    with pytest.raises(UserError, match=r"value has shape \(4, 1\)"):
        best_of_n(four, table, 2)
    with pytest.raises(UserError, match=r"mask has shape \(5,\)"):
        sequence_log_probs(logits, ids, mask[0])
    with pytest.raises(UserError, match=r"logits has shape \(2, 5, 7\)"):
        token_log_probs(logits, ids[:, :4])
    with pytest.raises(UserError, match=r"reference has shape \(2, 5, 6\)"):
        kl(logits, logits[..., :6], mask)
    with pytest.raises(UserError, match=r"advantage has shape \(5,\)"):
        ppo_loss(logits[..., 0], logits[..., 0], torch.zeros(5), mask)
    with pytest.raises(UserError, match=r"old has shape \(1, 5\)"):
        ppo_loss(logits[..., 0], logits[:1, :, 0], torch.zeros(2), mask)


def test_one_mask_for_all_texts_is_that_mask_repeated():
    (logits, ids), (other, _) = text(), text(seed=3)
    one = torch.tensor([[0, 0, 1, 1, 1]])
    both, new, old = one.repeat(2, 1), logits[..., 0], other[..., 0]
    assert torch.equal(sequence_log_probs(logits, ids, one), sequence_log_probs(logits, ids, both))
    assert torch.equal(kl(logits, other, one), kl(logits, other, both))
    assert torch.equal(ppo_loss(new, old, new[:, 0], one), ppo_loss(new, old, new[:, 0], both))


def banned(logits, token):
    out = logits.clone()
    out[..., token] = -math.inf
    return out


def test_kl_where_both_models_ban_a_token_is_that_of_the_tokens_left():
    (logits, _), (other, _) = text(), text(seed=3)
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    policy = banned(logits, 6).requires_grad_()
    found = kl(policy, banned(other, 6), mask)
    assert torch.allclose(found, kl(logits[..., :6], other[..., :6], mask))
    found.sum().backward()
    assert torch.isfinite(policy.grad).all() and policy.grad.abs().sum() > 0
    assert torch.equal(kl(logits, banned(other, 6), mask), torch.full((2,), math.inf, dtype=torch.double))
    assert torch.isfinite(kl(banned(logits, 6), other, mask)).all()
    only_masked = other.clone()
    only_masked[:, 4] = -math.inf  # the last logits predict nothing
    only_masked[0, 0] = banned(only_masked[0, 0], 6)  # and these stand before the first answer
    assert torch.isfinite(kl(logits, only_masked, mask)).all()


def test_a_banned_token_matters_only_inside_the_answer():
    logits, ids = text()
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 1, 1, 0]])
    ids[:, 1:4], ids[:, 4] = torch.tensor([0, 1, 2]), 6  # the padding is banned
    assert torch.allclose(sequence_log_probs(banned(logits, 6), ids, mask),
                          sequence_log_probs(logits[..., :6], ids.clamp(max=5), mask))  # fmt: skip
    with pytest.raises(UserError, match="Text 0 of the batch holds an answer token that the model bans"):
        sequence_log_probs(banned(logits, 1), ids, mask)
    log = token_log_probs(banned(logits, 6), ids).requires_grad_()
    loss = ppo_loss(log, log.detach(), torch.ones(2), mask)
    loss.backward()
    assert loss.item() == pytest.approx(-1) and torch.isfinite(log.grad).all()
    with pytest.raises(UserError, match="NaN or infinity"):
        token_log_probs(logits + math.inf, ids)
