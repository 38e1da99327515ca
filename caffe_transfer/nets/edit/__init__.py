"""From any user's prototxt to a network's train_val and deploy nets, by small edits.

in_force.py   `checked`: the part of the user's net that is in force, and what cannot be used
wiring.py     the main loss, the blobs of images and labels, and the layers that are needed
data.py       `DataSettings`, `seen_size`, and the data layers of a study
freezing.py   layers that training cannot change
made.py       `train_val` and `deploy`: the edits in order
messages.py   copies of nets, and errors that name the file
"""

from caffe_transfer.nets.edit.data import DataSettings, seen_size
from caffe_transfer.nets.edit.in_force import checked
from caffe_transfer.nets.edit.made import deploy, train_val

__all__ = ["DataSettings", "checked", "deploy", "seen_size", "train_val"]
