"""Learning features without labels: SimCLR, two views of each image that should agree."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlib.errors import UserError
from transferlib.tensors import at_least_single, trainable_in


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    """Normalised temperature-scaled cross-entropy: pick the other view of your image out of the batch.

    The mean over all 2N views i of −log( exp(s_ij/τ) / Σ_{k≠i} exp(s_ik/τ) ), where j is the other view of the same
    image and s the cosine similarity.

    Args:
        z1: projections of the first views (N, D), N ≥ 2.
        z2: projections of the second views (N, D), same order.
        temperature: τ > 0.

    Returns:
        A scalar; log(2N − 1) when all projections are the same.

    Raises:
        UserError: different shapes, fewer than two images, a temperature ≤ 0.

    Paper: Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations, equation 1.

    >>> z = torch.eye(4)
    >>> nt_xent(z, z) < nt_xent(z, z.flip(0)), nt_xent(torch.ones(4, 2), torch.ones(4, 2))  # log 7
    (tensor(True), tensor(1.9459))
    """
    if z1.shape != z2.shape or z1.ndim != 2 or len(z1) < 2:
        raise UserError(f"The two views have shapes {tuple(z1.shape)} and {tuple(z2.shape)}: both must be (N ≥ 2, D).")
    if not temperature > 0:
        raise UserError(f"temperature = {temperature} is not possible: it must be > 0.")
    n = len(z1)
    z = F.normalize(at_least_single(torch.cat([z1, z2])), dim=1)  # (2N, D)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)  # (2N, 2N): no view may pick itself
    partner = torch.arange(2 * n, device=z.device).roll(n)  # view i of the first half ↔ view i + N
    return F.cross_entropy(scores, partner)


def two_views(x: Tensor, generator: torch.Generator, flip: bool = True) -> tuple[Tensor, Tensor]:
    """Two random distortions of each image: a random crop of 50 to 100 % of the area, a flip, brightness and contrast.

    Args:
        x: uint8 (N, C, H, W).
        generator: of the distortions.
        flip: mirror half of the views; switch it off where left and right mean something, as in digits.

    Returns:
        Two uint8 tensors like ``x``, on its device.

    >>> x = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    >>> first, second = two_views(x, torch.Generator().manual_seed(0))
    >>> first.shape, first.dtype, bool((first == second).all())  # black, at two brightnesses
    (torch.Size([2, 3, 8, 8]), torch.uint8, False)
    """
    if x.ndim != 4:
        raise UserError(f"Images come as (N, C, H, W): got shape {tuple(x.shape)}.")

    def uniform(*shape: int) -> Tensor:  # drawn where the generator is, used where the images are
        return torch.rand(shape, generator=generator, dtype=torch.float32, device=generator.device).to(x.device)

    def view() -> Tensor:
        n = len(x)
        scale = (0.5 + 0.5 * uniform(n)).sqrt()  # side of the crop, share of the image
        shift = (2 * uniform(n, 2) - 1) * (1 - scale[:, None])
        sign = torch.ones_like(scale)
        if flip:
            sign -= 2.0 * (uniform(n) < 0.5)
        theta = scale.new_zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * sign, scale, shift
        grid = F.affine_grid(theta, [n, 1, *x.shape[2:]], align_corners=False)  # (N, H, W, 2)
        image = F.grid_sample(x.float() / 255, grid, align_corners=False, padding_mode="reflection")
        contrast = 0.6 + 0.8 * uniform(n, 1, 1, 1)
        brightness = 0.4 * uniform(n, 1, 1, 1) - 0.2
        mean = image.mean((1, 2, 3), keepdim=True)
        return (255 * ((image - mean) * contrast + mean + brightness).clamp(0, 1)).round().to(torch.uint8)

    return view(), view()


def fit_simclr(
    backbone: nn.Module,
    x: Tensor,
    out_features: int,
    epochs: int = 10,
    batch_size: int = 256,
    lr: float = 1e-3,
    temperature: float = 0.5,
    flip: bool = True,
    seed: int = 0,
) -> list[float]:
    """Train a backbone on images without labels, in place; the projection head is thrown away.

    Args:
        backbone: uint8 (N, C, H, W) → features (N, out_features).
        x: uint8 images (N, C, H, W), on the backbone's device; labels are never asked for.
        epochs, batch_size, lr, temperature, flip: see :func:`nt_xent` and :func:`two_views`.
        seed: of the head, the order and the views.

    Returns:
        The mean loss of each epoch.

    Raises:
        UserError: fewer than two images, weights in float16, or a loss that is not finite.

    >>> from transferlib.backbones.images import image_backbone
    >>> net, x = image_backbone("small-cnn", pretrained=False, size=8), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    >>> len(fit_simclr(net, x, net.out_features, epochs=2))
    2
    """
    if len(x) < 2:
        raise UserError(f"Contrastive training compares images: got {len(x)}, at least 2 are needed.")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inner, last = (nn.Linear(i, o, device="cpu", dtype=torch.float32) for i, o in ((out_features, 128), (128, 64)))
        head = nn.Sequential(inner, nn.ReLU(), last)
    if (weight := next((p for p in backbone.parameters() if p.is_floating_point()), None)) is not None:
        head.to(device=weight.device, dtype=weight.dtype)
    modules = nn.ModuleList([backbone, head]).train()
    optimiser = torch.optim.AdamW(trainable_in(modules.parameters()), lr=lr, weight_decay=1e-4)
    steps = max(1, len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    history = []
    for epoch in range(epochs):
        order, total = torch.randperm(len(x), generator=generator, device=generator.device), 0.0
        for step in range(steps):
            first, second = two_views(x[order[step * batch_size : (step + 1) * batch_size]], generator, flip)
            # One pass for both views: BatchNorm must not tell the first views from the second.
            z1, z2 = head(backbone(torch.cat([first, second]))).chunk(2)  # (2N, 64) → 2 × (N, 64)
            loss = nt_xent(z1, z2, temperature)
            if not torch.isfinite(loss):
                raise UserError(f"The SimCLR loss is not finite in epoch {epoch}: lower lr = {lr}.")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() / steps
        history.append(total)
    backbone.eval()
    return history
