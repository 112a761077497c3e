from detection.retinanet import RetinaNet, build_detector

__all__ = ["RetinaNet", "build_detector"]
