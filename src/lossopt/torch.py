"""torch's optimizers and losses by lossopt's kernels: say ``lossopt.torch`` for ``torch.optim``, and keep the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, final

try:
    import torch
except ImportError:
    raise ImportError("lossopt.torch needs torch: pip install 'lossopt[torch]'") from None

import numpy as np

from lossopt import _kernels
from lossopt import losses as _losses
from lossopt.optimizers import _mu

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Criterion", "NAdam", "RAdam", "RMSprop"]

Tensor = Any
Group = dict[str, Any]
Key = float | tuple[float, float]

_EXCHANGE = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
if _EXCHANGE is None:
    raise ImportError(f"lossopt.torch needs torch 2.10 or newer, got {torch.__version__}")

_PRECISIONS = (torch.float64, torch.float32)


class _Compiled(torch.optim.Optimizer):  # type: ignore[misc]
    """What the optimizers share: torch's class has constructor, groups and state; the step is a kernel's."""

    # names in the state of a parameter, in the order of the kernel's slots
    _slots: ClassVar[tuple[str, ...]] = ()
    _counts: ClassVar[bool] = True  # whether the state has a step

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # what torch's fused steps do with a GradScaler's factor: this one wants gradients that are unscaled
        self._step_supports_amp_scaling = False

    def _names(self, group: Group) -> tuple[str, ...]:
        return self._slots

    def _kernel(self, group: Group) -> Any:
        raise NotImplementedError

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        """The kernel's hyperparameters for parameters of one key."""
        raise NotImplementedError

    def _begin(self, p: Tensor, name: str, group: Group) -> Tensor:
        """A new state tensor."""
        return torch.zeros_like(p, memory_format=torch.preserve_format, requires_grad=False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient.

        Parameters
        ----------
        closure : function, optional
            Evaluates the model again and returns the loss.

        Returns
        -------
        What the closure returns, or None.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            A tensor or a setting cannot be served; the sentence says which. Nothing has been written then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for updates in [self._prepared(i, group) for i, group in enumerate(self.param_groups)]:
            for update in updates:
                update()
        return loss

    def _prepared(self, i: int, group: Group) -> list[Callable[[], None]]:
        """What a group's step is to do, once all groups have been looked at."""
        for flag in ("capturable", "differentiable"):
            if group.get(flag):
                raise ValueError(f"lossopt.torch.{type(self).__name__}: {flag}=True is not supported")
        if group.get("momentum", 0) >= 1:
            raise ValueError(
                f"lossopt.torch.{type(self).__name__}: momentum must be below 1, got {group['momentum']!r}"
            )
        params = group["params"]
        grads = [g for p in params if (g := p.grad) is not None]
        if not grads:
            return []
        if len(grads) < len(params):
            params = [p for p in params if p.grad is not None]
        states = list(map(self.state.get, params))
        if None in states:
            states = [{} if state is None else state for state in states]
        ready = self._made(params, grads, states, group)
        if ready is not None:
            return [ready]
        # some are not as the kernels want them: one at a time, in dense copies where they need be
        who = f"lossopt.torch.{type(self).__name__}:"
        for p, g, state in zip(params, grads, states, strict=True):
            _served(f"{who} a parameter of group {i}", p)
            _served(f"{who} a gradient of group {i}", g, p)
            for name in self._names(group):
                if state.get(name) is not None:
                    _served(f"{who} state {name!r} of a parameter of group {i}", state[name], p)
        return [
            self._made([p], [g], [state], group) or self._copied(p, g, state, group)
            for p, g, state in zip(params, grads, states, strict=True)
        ]

    def _made(
        self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Tensor]], group: Group
    ) -> Callable[[], None] | None:
        """The update of parameters whose memory is as the kernels want it; else None."""
        w, g = _memory(params), _memory(grads)
        if w is None or g is None or not w.matches(g, 1):
            return None
        names = self._names(group)
        fresh: list[dict[str, Tensor]] = [{}] * len(states)
        try:
            state = _memory([s[x] for s in states for x in names]) if states[0] else None
        except KeyError:
            state = None
        if state is None:
            fresh = self._fresh(params, states, names, group)
            state = _memory([new.get(x, s.get(x)) for s, new in zip(states, fresh, strict=True) for x in names])
        if state is None or not w.matches(state, len(names)):
            return None

        def update() -> None:
            if any(fresh):
                for p, s, new in zip(params, states, fresh, strict=True):
                    s.update(new)
                    self.state[p] = s
            keys = self._keys(states, fresh, group)
            if keys.count(keys[0]) == len(keys):
                self._call(group, keys[0], w, g, state)
            else:
                for key in sorted(set(keys)):
                    some = [j for j, other in enumerate(keys) if other == key]
                    here, there = (_memory([x[j] for j in some]) for x in (params, grads))
                    self._call(group, key, here, there, _memory([states[j][x] for j in some for x in names]))
            torch.autograd.graph.increment_version(params)

        return update

    def _copied(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: Group) -> Callable[[], None]:
        """The update of one tensor with gaps or of another order, through copies."""
        names = self._names(group)

        def update() -> None:
            if new := self._fresh([p], [state], names, group)[0]:
                state.update(new)
                self.state[p] = state
            w, dense = p.detach().contiguous(), [state[x].contiguous() for x in names]
            (key,) = self._keys([state], [new], group)
            self._call(group, key, _memory([w]), _memory([g.detach().contiguous()]), _memory(dense))
            with torch.no_grad():
                p.copy_(w)
                for name, x in zip(names, dense, strict=True):
                    state[name].copy_(x)

        return update

    def _fresh(
        self, params: list[Tensor], states: list[dict[str, Tensor]], names: Sequence[str], group: Group
    ) -> list[dict[str, Tensor]]:
        """What the states lack."""
        made: list[dict[str, Tensor]] = []
        for p, state in zip(params, states, strict=True):
            new = {} if state else self._counted()
            for name in names:
                if state.get(name) is None:
                    new[name] = self._begin(p, name, group)
            made.append(new)
        return made

    def _counted(self) -> dict[str, Tensor]:
        """A new state's numbers, which stand in tensors of torch's default precision or float32."""
        wide = torch.get_default_dtype() == torch.float64
        return {"step": torch.zeros((), dtype=torch.float64 if wide else torch.float32)} if self._counts else {}

    def _keys(self, states: list[dict[str, Tensor]], fresh: list[dict[str, Tensor]], group: Group) -> list[Key]:
        """Count each parameter's step; the how manieth it is, and what else its constants depend on."""
        return list(_advanced([s["step"] for s in states], 1, 1))

    def _call(self, group: Group, key: Key, w: Any, g: Any, state: Any) -> None:
        t = int(key[0] if isinstance(key, tuple) else key)
        hyper = (*map(float, self._hyper(group, key)), 0.0, 0.0)
        which = np.zeros(w.count, np.int64)
        sign = -1.0 if group["maximize"] else 1.0
        _kernels.updates.step(self._kernel(group)(), w, g, state, (hyper,), which, t, sign, np.inf)


def _memory(tensors: list[Tensor]) -> Any:
    return _kernels.abi.Arrays.of_tensors(tensors, _EXCHANGE)


def _advanced(tensors: list[Tensor], factor: float, plus: float) -> list[float]:
    """Multiply and add to tensors of one number each; what they are then."""
    memory = _memory(tensors)
    if memory is None and len(tensors) > 1:
        # torch's default precision was another one when some of them were made, or they were loaded
        return [_advanced([x], factor, plus)[0] for x in tensors]
    if memory is None:
        raise TypeError(
            f"lossopt.torch: a count in the optimizer's state must be a float tensor on the CPU, got {tensors[0]!r}"
        )
    made: list[float] = memory.advance(factor, plus)
    return made


def _served(what: str, x: Tensor, like: Tensor | None = None) -> None:
    """Refuse what no kernel takes."""
    if x.layout is not torch.strided:
        raise RuntimeError(f"{what} must be dense, got {x.layout}: sparse gradients are not supported")
    if x.device.type != "cpu":
        raise ValueError(f"{what} must be on the CPU, got {x.device}")
    if x.dtype not in _PRECISIONS:
        raise TypeError(f"{what} must be float64 or float32, got {x.dtype}")
    if like is not None and (x.dtype, x.shape) != (like.dtype, like.shape):
        raise TypeError(
            f"{what} must be {like.dtype} of shape {tuple(like.shape)} as it is, got {x.dtype}, {tuple(x.shape)}"
        )


@final
class SGD(_Compiled, torch.optim.SGD):  # type: ignore[misc]
    """`torch.optim.SGD`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.SGD`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(2))
    >>> opt = lossopt.torch.SGD([w], lr=0.1, momentum=0.9)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9000, 0.9000])
    """

    _counts = False

    def _begin(self, p: Tensor, name: str, group: Group) -> Tensor:
        return torch.zeros_like(p, memory_format=torch.contiguous_format, requires_grad=False)

    def _names(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.momentum_update if group["momentum"] else _kernels.updates.sgd_update

    def _keys(self, states: list[dict[str, Tensor]], fresh: list[dict[str, Tensor]], group: Group) -> list[Key]:
        # the first velocity is the gradient itself
        return [1.0 if new else 2.0 for new in fresh]

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        return tuple(group[x] for x in ("lr", "momentum", "dampening", "weight_decay", "nesterov"))


class _Adam(_Compiled):
    def _names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.amsgrad_update if group["amsgrad"] else _kernels.updates.adam_update

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        decoupled = group["decoupled_weight_decay"]
        return (group["lr"], *group["betas"], group["eps"], group["weight_decay"], decoupled)


@final
class Adam(_Adam, torch.optim.Adam):  # type: ignore[misc]
    """`torch.optim.Adam`, by lossopt's kernel; formula and source: `lossopt.Adam`.

    Parameters, groups, hooks, schedulers, ``state_dict`` and what it refuses are torch's own: these classes are
    subclasses that replace the step. A checkpoint of one loads in the other. All tensors of a group go to one call over
    their memory.

    ``foreach`` and ``fused`` choose among torch's implementations, and change nothing here. Tensors that are not
    contiguous are copied for each step and back; ``capturable`` and ``differentiable``, other devices, sparse and
    complex tensors, half precision, and a momentum of 1 or more are refused by a sentence when a step is made, and
    nothing is written then. A GradScaler has to unscale before. The number of threads is `lossopt.set_num_threads`'.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> opt = lossopt.torch.Adam([w], lr=0.1)
    >>> (w * torch.tensor([3.0, -0.01])).sum().backward(); opt.step()
    >>> w.data
    tensor([-0.1000,  0.1000])
    """


@final
class AdamW(_Adam, torch.optim.AdamW):  # type: ignore[misc]
    """`torch.optim.AdamW`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.AdamW`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.8500])
    """


@final
class RMSprop(_Compiled, torch.optim.RMSprop):  # type: ignore[misc]
    """`torch.optim.RMSprop`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.RMSprop`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.RMSprop([w], lr=0.01)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def _names(self, group: Group) -> tuple[str, ...]:
        names = {"square_avg": True, "momentum_buffer": group["momentum"] > 0, "grad_avg": group["centered"]}
        return tuple(name for name, there in names.items() if there)

    def _kernel(self, group: Group) -> Any:
        family, moves = _kernels.updates, group["momentum"] > 0
        if group["centered"]:
            return family.rmsprop_both_update if moves else family.rmsprop_centered_update
        return family.rmsprop_momentum_update if moves else family.rmsprop_update

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        return tuple(group[x] for x in ("lr", "alpha", "eps", "weight_decay", "momentum"))


@final
class Adagrad(_Compiled, torch.optim.Adagrad):  # type: ignore[misc]
    """`torch.optim.Adagrad`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.Adagrad`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.Adagrad([w], lr=0.1)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9000])
    """

    _slots = ("sum",)

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.adagrad_update

    def _begin(self, p: Tensor, name: str, group: Group) -> Tensor:
        start = self.defaults["initial_accumulator_value"]
        return torch.full_like(p, start, memory_format=torch.preserve_format, requires_grad=False)

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        return tuple(group[x] for x in ("lr", "lr_decay", "weight_decay", "eps"))


@final
class Adadelta(_Compiled, torch.optim.Adadelta):  # type: ignore[misc]
    """`torch.optim.Adadelta`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.Adadelta`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.Adadelta([w], lr=1.0)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9968])
    """

    _slots = ("square_avg", "acc_delta")

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.adadelta_update

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        return tuple(group[x] for x in ("lr", "rho", "eps", "weight_decay"))


@final
class Adamax(_Compiled, torch.optim.Adamax):  # type: ignore[misc]
    """`torch.optim.Adamax`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.Adamax`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.Adamax([w], lr=0.1)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9000])
    """

    _slots = ("exp_avg", "exp_inf")

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.adamax_update

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        return (group["lr"], *group["betas"], group["eps"], group["weight_decay"])


@final
class NAdam(_Compiled, torch.optim.NAdam):  # type: ignore[misc]
    """`torch.optim.NAdam`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.NAdam`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.NAdam([w], lr=0.1)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.8944])
    """

    _slots = ("exp_avg", "exp_avg_sq")

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.nadam_update

    def _counted(self) -> dict[str, Tensor]:
        made = super()._counted()
        return made | {"mu_product": torch.ones_like(made["step"])}

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        assert isinstance(key, tuple)
        (t, product), beta, decay = key, float(group["betas"][0]), float(group["momentum_decay"])
        numbers = (group["lr"], *group["betas"], group["eps"], group["weight_decay"])
        ahead = (_mu(int(t), beta, decay), _mu(int(t) + 1, beta, decay))
        return (*numbers, *ahead, product, group["decoupled_weight_decay"])

    def _keys(self, states: list[dict[str, Tensor]], fresh: list[dict[str, Tensor]], group: Group) -> list[Key]:
        beta, decay = float(group["betas"][0]), float(group["momentum_decay"])
        times: Any = super()._keys(states, fresh, group)
        products = [0.0] * len(times)
        for t in set(times):
            some = [j for j, other in enumerate(times) if other == t]
            moved = _advanced([states[j]["mu_product"] for j in some], _mu(int(t), beta, decay), 0)
            for j, product in zip(some, moved, strict=True):
                products[j] = product
        return list(zip(times, products, strict=True))


@final
class RAdam(_Compiled, torch.optim.RAdam):  # type: ignore[misc]
    """`torch.optim.RAdam`, by lossopt's kernel. `Adam` says what all share; formula and source: `lossopt.RAdam`.

    Examples
    --------
    >>> import torch, lossopt.torch
    >>> w = torch.nn.Parameter(torch.ones(1))
    >>> opt = lossopt.torch.RAdam([w], lr=0.1)
    >>> w.sum().backward(); opt.step()
    >>> w.data
    tensor([0.9000])
    """

    _slots = ("exp_avg", "exp_avg_sq")

    def _kernel(self, group: Group) -> Any:
        return _kernels.updates.radam_update

    def _hyper(self, group: Group, key: Key) -> tuple[float, ...]:
        numbers = (group["lr"], *group["betas"], group["eps"], group["weight_decay"])
        return (*numbers, group["decoupled_weight_decay"])


class _Fused(torch.autograd.Function):  # type: ignore[misc]
    """A loss whose gradient is there when its value is."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Any, sample_weight: Any, loss: _losses.Loss) -> Tensor:
        z, y, weight = (
            x.detach().numpy() if isinstance(x, torch.Tensor) else x for x in (prediction, target, sample_weight)
        )
        if ctx.needs_input_grad[0]:
            value, gradient = loss.value_and_grad(z, y, weight)
            ctx.gradient = torch.from_numpy(gradient)
        else:
            value = loss(z, y, weight)
        return prediction.new_tensor(value)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, None, None, None]:
        # most losses are where backward begins
        return ctx.gradient if above.item() == 1 else ctx.gradient * above, None, None, None


@final
class Criterion(torch.nn.Module):  # type: ignore[misc]
    """A loss of lossopt as a module of torch: value and gradient from one pass, at the forward call.

    Parameters
    ----------
    loss : Loss

    Notes
    -----
    The call takes ``(prediction, target, sample_weight=None)``, tensors on the CPU, as the loss takes arrays: raw
    scores in float64 or float32, labels of any whole numbers. The gradient is that of the prediction alone, and has no
    gradient of its own. A prediction that is not contiguous is copied.

    Examples
    --------
    >>> import torch, lossopt as lo, lossopt.torch
    >>> criterion = lossopt.torch.Criterion(lo.CrossEntropy(label_smoothing=0.1))
    >>> z = torch.zeros(2, 3, requires_grad=True)
    >>> criterion(z, torch.tensor([0, 2])).backward()
    >>> z.grad
    tensor([[-0.3000,  0.1500,  0.1500],
            [ 0.1500,  0.1500, -0.3000]])
    """

    def __init__(self, loss: _losses.Loss) -> None:
        super().__init__()
        if not isinstance(loss, _losses.Loss):
            raise TypeError(f"loss must be a Loss, got {loss!r}")
        self.loss = loss

    def forward(self, prediction: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The loss.

        Parameters
        ----------
        prediction, target, sample_weight : tensor
            As for calling the loss.

        Returns
        -------
        tensor ()

        Raises
        ------
        ValueError, TypeError
            As for calling the loss.
        """
        if not isinstance(prediction, torch.Tensor):
            raise TypeError(f"prediction must be a tensor, got {prediction!r:.60}")
        for name, x in (("prediction", prediction), ("target", target), ("sample_weight", sample_weight)):
            if isinstance(x, torch.Tensor) and (x.device.type != "cpu" or x.layout is not torch.strided):
                raise ValueError(f"{name} must be a dense tensor on the CPU, got {x.layout} on {x.device}")
        if prediction.dtype not in _PRECISIONS:
            raise TypeError(f"prediction must be float64 or float32, got {prediction.dtype}")
        if isinstance(target, torch.Tensor) and target.requires_grad:
            raise ValueError("target must need no gradient: that of the prediction is the only one there is")
        return _Fused.apply(prediction, target, sample_weight, self.loss)

    def extra_repr(self) -> str:
        """What stands in the module's repr."""
        return repr(self.loss)
