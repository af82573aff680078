"""Bottlenecks: what stands between the encoder's last numbers and the code.

A bottleneck has `size`, the length of the code, and `in_features`, how many numbers it asks of the encoder. It returns
the code and a penalty to be added to the loss, or None. In training it may return several codes an
image, those of all images one time after the other, whose losses the module brings together by their geometric mean; in
evaluation it is one, and the same every time.

What it may have beside that:

diagnostics(features)  figures of the code over a whole split, from N x `in_features` float32: numbers, which are logged
                       as `code/NAME`, and vectors with a number per unit, which are drawn
sample(count)          codes drawn from its prior, `count` x `size`
nearest(codes)         the nearest codes that it can give, where it cannot give every code
truncate(codes, kept)  codes of which only the first `kept` numbers are known; `sizes` lists what it was trained to keep
start_epoch(epoch)     called before every epoch of the training, from 0
"""
