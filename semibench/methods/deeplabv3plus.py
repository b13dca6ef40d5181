"""DeepLabV3+ (Chen et al. 2018) as a baseline: another name of ``supervised``, whose usual network it is.

Paper: arXiv 1802.02611. A run under either name is the same run, and tables show it as ``supervised``. The network is in
``networks/deeplabv3plus.py``.
"""

ALIAS_OF = "supervised"
