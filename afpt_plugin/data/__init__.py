"""What is learned from and tested on: tables, captions, recordings, features.

Authors
 * The afpt_plugin developers 2026
"""
