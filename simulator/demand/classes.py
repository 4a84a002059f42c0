"""Workload classes: service, batch or ml, as labels say or as the requested resources show."""

from __future__ import annotations

from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from models.resources import ResourceAxes
from models.usage import WorkloadKey
from models.workload import WorkloadClass

CLASS_LABELS = ("workload-class", "workload_class")
"""Namespace or workload label that names the class; metrics spell the dash as an underscore."""

_EXTENDED_FROM = 3


def workload_class(key: WorkloadKey, axes: ResourceAxes, requests: NDArray[np.float64]) -> WorkloadClass:
    """Class of one workload: its label, else ml when it asks for an extended resource, else service.

    requests : float64 [hours, axes]

    >>> workload_class(WorkloadKey("ci", "build", {"workload-class": "batch"}), ResourceAxes(), np.zeros((1, 3)))
    'batch'
    """
    for label in CLASS_LABELS:
        if key.labels.get(label) in get_args(WorkloadClass):
            return cast(WorkloadClass, key.labels[label])
    extended = requests[:, _EXTENDED_FROM : len(axes)]
    return "ml" if bool(np.any(np.nan_to_num(extended) > 0)) else "service"
