"""Ways of adapting a frozen CLAP, one a file.

Authors
 * The afpt_plugin developers 2026
"""
