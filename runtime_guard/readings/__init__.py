"""What monitors read, on its way from the device to the sinks."""
