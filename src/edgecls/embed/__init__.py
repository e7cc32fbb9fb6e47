"""Puts artifacts, labels, image spec and golden images into an app; one file a platform."""
