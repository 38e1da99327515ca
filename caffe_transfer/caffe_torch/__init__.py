"""caffe-torch: the `caffe` command on PyTorch.

command.py    the command line: train, test, time, device_query
solver.py     the training loop; updates.py, policies.py: its arithmetic
net.py        a NetParameter as layers in order; loading and saving of parameters
layers/       one class for each layer type
data.py       the Data layer: LMDB records -> batches, prepared ahead; transform.py: crop, mirror
rng.py        the random numbers that Caffe draws; fillers.py: initial weights from them
snapshot.py   .caffemodel and .solverstate
glog.py       log lines as Caffe writes them
"""
