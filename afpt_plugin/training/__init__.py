"""Training steps of a Brain: one by one, as CUDA graphs, or of several runs.

Authors
 * The afpt_plugin developers 2026
"""
