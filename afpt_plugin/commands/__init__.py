"""The subcommands of `afpt`, a module each: ``add_parser`` and ``run``.

`afpt --help` imports all of them, so what is heavy (torch, pandas, ...) is
imported inside of ``run``, which returns the exit status.

Authors
 * The afpt_plugin developers 2026
"""
