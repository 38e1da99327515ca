"""How transferable are features in deep neural networks?  In Caffe, then and today."""

__version__ = "0.1.0"
