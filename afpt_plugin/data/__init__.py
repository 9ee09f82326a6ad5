"""Data for training and testing: tables, captions, recordings and features.

Authors
 * The afpt_plugin developers 2026
"""
