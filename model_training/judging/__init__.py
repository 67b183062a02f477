"""From a trained network's output to a judgement: metrics, calibration, out-of-distribution scores
and confidence intervals.

Plain arithmetic on arrays, but for `prediction`, which runs the network; knows nothing of files.
"""
