"""One frozen CLAP per file behind one interface, and `load_clap` to get one.

Authors
 * The afpt_plugin developers 2026
"""

from importlib import import_module

from afpt_plugin.backbones.base import FrozenClap
from afpt_plugin.errors import InputError

__all__ = ["BACKBONES", "FrozenClap", "load_clap"]

#: name -> module and loader in it, ``loader(weights) -> FrozenClap``; imported
#: only when asked for, since each pulls in its own libraries.
BACKBONES = {
    "mini": ("afpt_plugin.backbones.mini_clap", "load_mini_clap"),
    "ms-2022": ("afpt_plugin.backbones.ms_clap", "load_ms_clap_2022"),
    "ms-2023": ("afpt_plugin.backbones.ms_clap", "load_ms_clap_2023"),
}


def load_clap(clap, weights=None, device=None):
    """Load a frozen CLAP.

    Arguments
    ---------
    clap : str or FrozenClap
        A name in `BACKBONES`, or a backbone of your own, returned as it is.
    weights : str or pathlib.Path, optional
        A local checkpoint; by default the packaged weights or the hub's.
    device : str or torch.device, optional
        Where to put it; by default the CPU.

    Returns
    -------
    FrozenClap
        Frozen, in evaluation mode.

    Raises
    ------
    InputError
        If the name is unknown or the weights cannot be obtained.

    Example
    -------
    >>> load_clap("maxi")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: the CLAP 'maxi' is unknown; choose one of mini, ms-2022, ms-2023, or pass a FrozenClap
    """
    if not isinstance(clap, FrozenClap):
        if clap not in BACKBONES:
            raise InputError(
                f"the CLAP {clap!r} is unknown; choose one of "
                f"{', '.join(BACKBONES)}, or pass a FrozenClap"
            )
        module, loader = BACKBONES[clap]
        clap = getattr(import_module(module), loader)(weights)
    elif weights is not None:
        raise InputError(
            f"weights={str(weights)!r} were given beside a CLAP that is "
            "already built: leave one of the two out"
        )
    return clap if device is None else clap.to(device)
