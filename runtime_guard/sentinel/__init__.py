"""Looks at every update of a healthy run without waiting for the device, and holds back the bad ones."""
