"""What a run leaves behind, and how runs are compared.

Authors
 * The afpt_plugin developers 2026
"""
