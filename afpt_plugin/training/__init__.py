"""How a Brain trains: step by step, as a CUDA graph, or several runs at once.

Authors
 * The afpt_plugin developers 2026
"""
