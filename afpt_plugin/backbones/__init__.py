"""Frozen CLAPs behind one interface, and `load_clap` to get one.

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

#: name -> module and its loader, ``loader(weights) -> FrozenClap``. A module is
#: imported only when it is needed, since each needs its own libraries.
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

#: Suffix of a ClapModel's name: round samples as the original LAION code does.
INT16 = ":int16"


def check_clap_name(name):
    """Refuse a name that `load_clap` would not find, without loading anything.

    Raises
    ------
    InputError
        If the name is unknown.

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
        A name in `BACKBONES` or `HUB_NAMES`; or the ``user/name`` on the hub or
        the local folder of a `transformers.ClapModel`, optionally with the
        suffix ``:int16`` (see `afpt_plugin.backbones.hf_clap`); or a backbone
        of your own, which is returned as it is.
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
