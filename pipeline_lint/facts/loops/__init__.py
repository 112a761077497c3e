"""Training loops: where gradients are made, used and dropped, and what is training and what is evaluation."""
