"""caffe-torch: the `caffe` command on PyTorch.

command.py    the command line: train, test, time, device_query; scoring.py: two of them
solver.py     the training loop; updates.py, policies.py: its arithmetic
net.py        a NetParameter as layers in order; loading and saving of parameters
order.py      the order in which layers run
layers/       one class for each layer type
records.py    LMDB records -> images; reading.py: images -> batches, made ahead
transform.py  crop, mirror, mean, scale
rng.py        the random numbers that Caffe draws; ziggurat.py: the normal ones
fillers.py    initial weights from them
snapshot.py   .caffemodel and .solverstate
precision.py  float32, tf32 or bf16; allocator.py: memory that stays with the process
glog.py       log lines as Caffe writes them
"""
