"""From logits to what a classifier says: probabilities, windows, events, none.

Authors
 * The afpt_plugin developers 2026
"""
