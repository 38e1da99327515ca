"""python -m caffe_transfer"""

from caffe_transfer.cli import main

main()
