"""One bad chunk in an array that was persisted.

The readings of some sensors are decorrelated, block by block. During one of the
blocks a sensor was stuck at one value: its covariance matrix is singular there, and
NumPy says only "Matrix is not positive definite". The error shows up late, when the
mean of the persisted array is asked for; the other chunks stay in memory. Type::

    dbgkit run examples/persisted_array.py

It stops in ``decorrelate``, not inside NumPy. At the prompt:
``p covariance.round(2)`` shows the row of zeros, ``p block.std(axis=0)`` the sensor
that was stuck, then ``w``, ``q``.

The data is made first, as an HDF5 file where h5py is installed, else as ``.npy``.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from dask import delayed
from distributed import Client, LocalCluster, wait

try:
    import dask.array as da
    import numpy as np
except ImportError:
    raise SystemExit(
        "this example needs NumPy: python -m pip install 'dask[array]'"
    ) from None
try:
    import h5py
except ImportError:
    h5py = None

SENSORS = 4
ROWS = 500  # of a block
BLOCKS = 8


def write_readings(folder):
    """Write the readings; sensor 2 is stuck during block 5. Returns the path."""
    readings = np.random.default_rng(0).normal(20, 3, size=(ROWS * BLOCKS, SENSORS))
    readings[ROWS * 5 : ROWS * 6, 2] = 20.0
    if h5py is None:
        path = Path(folder) / "readings.npy"
        np.save(path, readings)
    else:
        path = Path(folder) / "readings.h5"
        with h5py.File(path, "w") as file:
            file["readings"] = readings
    return str(path)


@delayed
def read_block(path, number):
    rows = slice(ROWS * number, ROWS * (number + 1))
    if path.endswith(".npy"):
        return np.load(path)[rows]
    with h5py.File(path, "r") as file:
        return file["readings"][rows]


def decorrelate(block):
    covariance = np.cov(block, rowvar=False)
    factor = np.linalg.cholesky(covariance)
    return np.linalg.solve(factor, (block - block.mean(axis=0)).T).T


def main():
    folder = tempfile.mkdtemp(prefix="readings-")
    # Until the process ends, not only until the failure: the file is needed to
    # read a block again.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = write_readings(folder)

    readings = da.concatenate(
        [
            da.from_delayed(read_block(path, number), (ROWS, SENSORS), dtype=float)
            for number in range(BLOCKS)
        ]
    )

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster):
        independent = readings.map_blocks(decorrelate, meta=np.empty((0, 0))).persist()
        wait(independent)
        print("The mean is", independent.mean().compute())


if __name__ == "__main__":
    main()
