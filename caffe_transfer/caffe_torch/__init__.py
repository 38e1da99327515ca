"""caffe-torch: the `caffe` command on PyTorch.

flags.py         the command line, as gflags reads it; flag_table.py: all flags; usage.py: help
command.py       the commands: train, test, time, device_query
solver.py        the training loop; optimizers.py, lr_schedules.py: its arithmetic
evaluate.py      the loops of `test` and `time`; layerwise.py: times of each layer
solver_nets.py   the nets that a solver names
net.py           a NetParameter as layers in order; loading and saving parameters
parameters.py    learnable blobs and their sharing
backward.py      where gradients pass, and where they stop
fusion.py        the order in which layers run
layers/          one class per layer type; shapes come from caffe_transfer.nets.shapes
pycaffe.py       what Python layers find as `caffe`
datum.py         LMDB records -> images; prefetch.py: images -> batches, in the background
transform.py     crop, mirror, mean, scale
rng.py           Caffe's random numbers; ziggurat.py: the normal distribution
fillers.py       initial weights drawn from them
snapshot.py      .caffemodel and .solverstate, and what lies beside them
keeping.py       what Caffe's states lack for an exact resume
precision.py     float32, tf32 or bf16
gpus.py          which GPUs PyTorch can use, and why not the others
cuda_graph.py    forward and backward passes as one piece of work for a GPU
glog.py          log lines in Caffe's format; log_files.py: into files
"""
