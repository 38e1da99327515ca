"""Layer types under the names that Caffe's three formats give them.

V0 (early 2014) has "conv", V1 (2014) has "CONVOLUTION", V2 (since 2015) has "Convolution".
"""

# V2 -> V1, and V0 where that format had the type.
_OLDER_NAMES: dict[str, tuple[str, ...]] = {
    "": ("NONE",),
    "AbsVal": ("ABSVAL",),
    "Accuracy": ("ACCURACY", "accuracy"),
    "ArgMax": ("ARGMAX",),
    "BNLL": ("BNLL", "bnll"),
    "Concat": ("CONCAT", "concat"),
    "ContrastiveLoss": ("CONTRASTIVE_LOSS",),
    "Convolution": ("CONVOLUTION", "conv"),
    "Data": ("DATA", "data"),
    "Deconvolution": ("DECONVOLUTION",),
    "Dropout": ("DROPOUT", "dropout"),
    "DummyData": ("DUMMY_DATA",),
    "Eltwise": ("ELTWISE",),
    "EuclideanLoss": ("EUCLIDEAN_LOSS", "euclidean_loss"),
    "Exp": ("EXP",),
    "Flatten": ("FLATTEN", "flatten"),
    "HDF5Data": ("HDF5_DATA", "hdf5_data"),
    "HDF5Output": ("HDF5_OUTPUT", "hdf5_output"),
    "HingeLoss": ("HINGE_LOSS",),
    "Im2col": ("IM2COL", "im2col"),
    "ImageData": ("IMAGE_DATA", "images"),
    "InfogainLoss": ("INFOGAIN_LOSS", "infogain_loss"),
    "InnerProduct": ("INNER_PRODUCT", "innerproduct"),
    "LRN": ("LRN", "lrn"),
    "MVN": ("MVN",),
    "MemoryData": ("MEMORY_DATA",),
    "MultinomialLogisticLoss": ("MULTINOMIAL_LOGISTIC_LOSS", "multinomial_logistic_loss"),
    "Pooling": ("POOLING", "pool"),
    "Power": ("POWER",),
    "ReLU": ("RELU", "relu"),
    "Sigmoid": ("SIGMOID", "sigmoid"),
    "SigmoidCrossEntropyLoss": ("SIGMOID_CROSS_ENTROPY_LOSS",),
    "Silence": ("SILENCE",),
    "Slice": ("SLICE",),
    "Softmax": ("SOFTMAX", "softmax"),
    "SoftmaxWithLoss": ("SOFTMAX_LOSS", "softmax_loss"),
    "Split": ("SPLIT", "split"),
    "TanH": ("TANH", "tanh"),
    "Threshold": ("THRESHOLD",),
    "WindowData": ("WINDOW_DATA", "window_data"),
}
_MODERN = {older: modern for modern, names in _OLDER_NAMES.items() for older in names}

# V0 -> V1.
V1_OF_V0 = {names[1]: names[0] for names in _OLDER_NAMES.values() if len(names) == 2}


def modern_type(name: str) -> str:
    """Return the V2 name of a layer type; V2 names and unknown ones come back unchanged."""
    return _MODERN.get(name, name)
