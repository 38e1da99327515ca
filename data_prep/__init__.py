"""From images to what Caffe trains on: sources, image lists, class splits, LMDBs, means."""
