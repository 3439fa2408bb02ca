"""A GPU that is not there: tensors that say they are on one and refuse to meet the CPU's, as real ones do.

Inside ``with PretendGpu() as gpu``, ``gpu(x)`` marks a tensor. Whatever is computed from it, or made with its device,
carries the mark. A marked tensor beside an unmarked one of more than one number, and ``.numpy()``, raise what CUDA
raises. Numbers are computed on the CPU, so that results can be compared. Indexing a marked tensor by an unmarked one
is allowed, as it is on CUDA; the other way round is not.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda:0")
PARAMETER_COPY = nn.Parameter.__deepcopy__
MOVES = {Tensor.to, Tensor.cpu, Tensor.cuda, Tensor.type_as, Tensor.copy_}
CPU_ALLOWED = {Tensor.__getitem__, Tensor.index_select}  # the second argument may be on the CPU


def marked(x: Any) -> bool:
    return isinstance(x, Tensor) and getattr(x, "_on_gpu", False)


def tensors(x: Any) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from tensors(item)
    elif isinstance(x, dict):
        yield from tensors(list(x.values()))


def device_of(x: Any) -> torch.device | None:
    """The device that a call asks for, in ``x`` one of its arguments."""
    if isinstance(x, torch.device):
        return x
    return torch.device(x) if isinstance(x, str) and x.split(":")[0] in ("cuda", "cpu") else None


def copied_parameter(own: nn.Parameter, memo: dict[int, Any]) -> nn.Parameter:
    copy: nn.Parameter = PARAMETER_COPY(own, memo)
    copy._on_gpu = marked(own)  # type: ignore[attr-defined]
    return copy


class PretendGpu(TorchFunctionMode):
    def __enter__(self) -> "PretendGpu":
        nn.Parameter.__deepcopy__ = copied_parameter  # type: ignore[method-assign]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        nn.Parameter.__deepcopy__ = PARAMETER_COPY  # type: ignore[method-assign]

    def __call__(self, x: Any) -> Any:
        for tensor in tensors(list(x.state_dict(keep_vars=True).values()) if isinstance(x, nn.Module) else x):
            tensor._on_gpu = True  # type: ignore[attr-defined]
        return x

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in (
            "device",
            "_parse_to",
            "_has_compatible_shallow_copy_type",
        ):  # they speak of devices and move nothing
            return func(*args, **kwargs)
        given = list(tensors([args, kwargs]))
        on_gpu = any(map(marked, given))
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if on_gpu else func(*args)
        if func == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return on_gpu
        if func in (Tensor.numpy, Tensor.__array__) and on_gpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        asked = [device_of(kwargs["device"])] if "device" in kwargs else [*map(device_of, args)]
        device = next((d for d in asked if d is not None), None)
        if func in (Tensor.to, Tensor.type_as) and len(given) == 2:  # .to(other tensor)
            device = GPU if marked(given[1]) else torch.device("cpu")
        if func is Tensor.cpu:
            device = torch.device("cpu")
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            func(*args)
            args[0]._on_gpu = marked(args[1])
            return None
        if func is Tensor.__deepcopy__:
            given, on_gpu = given[:1], marked(args[0])
        if func not in MOVES:
            self._together(func, args, given)
        if device is not None and device.type == "cuda":  # there is none: compute on the CPU
            args = tuple(torch.device("cpu") if device_of(a) is not None else a for a in args)
            if "device" in kwargs:
                kwargs["device"] = torch.device("cpu")
        drawn = kwargs.get("generator")  # None is torch's own
        if drawn is not None and device is not None and drawn.device.type != device.type:
            raise RuntimeError(f"Expected a '{device.type}' device type for generator")
        out = func(*args, **kwargs)
        goes = device.type == "cuda" if device is not None else marked(args[0]) if func is Tensor.copy_ else on_gpu
        for tensor in tensors(out):
            if marked(tensor) != goes and not (tensor is args[0] if args else False):
                tensor._on_gpu = goes  # type: ignore[attr-defined]
            elif marked(tensor) != goes:  # .to() or .cpu() gave the tensor itself: a move makes another
                moved = tensor.view_as(tensor)
                moved._on_gpu = goes  # type: ignore[attr-defined]
                out = moved
        return out

    def _together(self, func: Callable[..., Any], args: tuple[Any, ...], given: list[Tensor]) -> None:
        if func in CPU_ALLOWED and marked(args[0]):
            return
        if func is Tensor.__setitem__ and marked(args[0]):
            given = [args[0], *tensors(args[2])]
        large = [t for t in given if t.dim() > 0]
        if any(map(marked, given)) and not all(map(marked, large)):
            raise RuntimeError(f"Expected all tensors to be on the same device in {getattr(func, '__name__', func)}")
        if func is Tensor.__getitem__ and any(map(marked, given)) and not marked(args[0]):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
