"""From logits to results: probabilities, windows, events, "none of these".

Authors
 * The afpt_plugin developers 2026
"""
