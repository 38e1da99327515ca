"""Data preparation for Caffe: image sources, image lists, class splits, LMDBs, means."""
