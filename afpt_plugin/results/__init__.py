"""The files that a run writes, and the comparison of runs.

Authors
 * The afpt_plugin developers 2026
"""
