"""caffe-torch: the `caffe` command on PyTorch.

command.py       the command line: train, test, time, device_query
solver.py        the training loop; optimizers.py, lr_schedules.py: its arithmetic
evaluate.py      the loops of `test` and `time`
net.py           a NetParameter as layers in order; loading and saving parameters
fusion.py        the order in which layers run
layers/          one class per layer type; shapes come from caffe_transfer.nets.shapes
datum.py         LMDB records -> images; prefetch.py: images -> batches, in the background
transform.py     crop, mirror, mean, scale
rng.py           Caffe's random numbers; ziggurat.py: the normal distribution
fillers.py       initial weights drawn from them
snapshot.py      .caffemodel and .solverstate
precision.py     float32, tf32 or bf16
cuda_graph.py    forward and backward passes as one piece of work for a GPU
allocator.py     keeps freed memory in the process
glog.py          log lines in Caffe's format
"""
