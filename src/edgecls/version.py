"""The version of this package, for whoever needs it below its public names."""

__version__ = "0.2.0"
