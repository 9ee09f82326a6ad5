"""Audio-free prompt tuning for CLAP, as a SpeechBrain plugin."""

__version__ = "0.1.0"
