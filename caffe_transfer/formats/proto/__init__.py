"""Caffe's wire schema and its generated module `caffe_pb2`."""
