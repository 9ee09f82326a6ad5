"""One frozen CLAP per file behind one interface, and `load_clap` to get one.

Authors
 * The afpt_plugin developers 2026
"""

from importlib import import_module
from pathlib import Path

import torch

from afpt_plugin.backbones.base import FrozenClap
from afpt_plugin.errors import InputError, did_you_mean

__all__ = [
    *("BACKBONES", "HUB_NAMES", "FrozenClap"),
    *("check_clap_name", "load_clap"),
]

#: name -> module and loader in it, ``loader(weights) -> FrozenClap``; imported
#: only when asked for, since each pulls in its own libraries.
BACKBONES = {
    "mini": ("afpt_plugin.backbones.mini_clap", "load_mini_clap"),
    "ms-2022": ("afpt_plugin.backbones.ms_clap", "load_ms_clap_2022"),
    "ms-2023": ("afpt_plugin.backbones.ms_clap", "load_ms_clap_2023"),
}

#: Short names of repositories on the hub.
HUB_NAMES = {
    "laion": "laion/clap-htsat-unfused",
    "laion-fused": "laion/clap-htsat-fused",
    "laion-general": "laion/larger_clap_general",
}

#: Behind the name of a ClapModel: round samples as the original LAION code.
INT16 = ":int16"


def check_clap_name(name):
    """Refuse a name that `load_clap` would not find, without loading anything.

    Raises
    ------
    InputError
        If it is unknown.

    Example
    -------
    >>> check_clap_name("ms-2202")
    Traceback (most recent call last):
    ...
    afpt_plugin.errors.InputError: the CLAP 'ms-2202' is unknown; ...; did you mean 'ms-2022'?
    """
    source = name.removesuffix(INT16)
    short = [*BACKBONES, *HUB_NAMES]
    known = name in BACKBONES or source in HUB_NAMES
    if not known and "/" not in source and not Path(source).is_dir():
        raise InputError(
            f"the CLAP {name!r} is unknown; choose one of {', '.join(short)}, "
            "a ClapModel on the hub (user/name) or its folder, or pass a "
            f"FrozenClap{did_you_mean(name, short)}"
        )


def load_clap(
    clap: str | FrozenClap,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
) -> FrozenClap:
    """Load a frozen CLAP.

    Arguments
    ---------
    clap : str or FrozenClap
        A name in `BACKBONES` or `HUB_NAMES`; any ``user/name`` on the hub, or
        a local folder, of a `transformers.ClapModel`, both with ``:int16``
        behind it or not (see `afpt_plugin.backbones.hf_clap`); or a backbone
        of your own, returned as it is.
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
    afpt_plugin.errors.InputError: the CLAP 'maxi' is unknown; choose one of mini, ms-2022, ms-2023, laion, laion-fused, laion-general, a ClapModel on the hub (user/name) or its folder, or pass a FrozenClap
    """
    if not isinstance(clap, FrozenClap):
        clap = str(clap)
        check_clap_name(clap)
        source = clap.removesuffix(INT16)
        if clap in BACKBONES:
            module, loader = BACKBONES[clap]
            clap = getattr(import_module(module), loader)(weights)
        else:
            load = import_module("afpt_plugin.backbones.hf_clap").load_hf_clap
            int16, source = clap != source, HUB_NAMES.get(source, source)
            clap = load(source, weights, int16)
    elif weights is not None:
        raise InputError(
            f"weights={str(weights)!r} were given beside a CLAP that is "
            "already built: leave one of the two out"
        )
    return clap if device is None else clap.to(device)
