"""Records on disk: one netCDF file, put in place whole, and what people and spreadsheets read beside it."""

import csv
import io
import os
import tempfile
from pathlib import Path

import xarray as xr


def save(record: xr.Dataset, directory: "str | os.PathLike[str]") -> None:
    """Writes record.nc, summary.json and curve.csv into a directory, each under a temporary name first.

    **Raises:** `OSError` where that is not possible; files already there are then as they were.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _whole(directory / "record.nc", lambda path: record.to_netcdf(path, engine="h5netcdf"))
    _whole(
        directory / "summary.json", lambda path: path.write_text(_indented(record.attrs["summary"]), encoding="utf-8")
    )
    _whole(directory / "curve.csv", lambda path: path.write_text(_curve(record), encoding="utf-8"))


def load(path: "str | os.PathLike[str]") -> xr.Dataset:
    """Reads a record back: the file record.nc, or the directory it is in.

    **Raises:** `OSError` where it is missing or not such a file, `ValueError` where it is not a record of this format.
    """
    path = Path(path)
    file = path / "record.nc" if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(2, "no record here; `saddlescope run` writes one", str(file))
    with xr.open_dataset(file, engine="h5netcdf") as record:
        record.load()
    schema = record.attrs.get("schema")
    if schema != "saddlescope.run/1":
        raise ValueError(f"{file} needs the format saddlescope.run/1: found {schema!r}.")
    return record


def _whole(path: Path, write) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _curve(record: xr.Dataset) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["t", "loss", "speed"])
    columns = (record[name].values for name in ("t", "loss", "speed"))
    rows.writerows([format(v, ".17g") for v in row] for row in zip(*columns, strict=True))
    return text.getvalue()


def _indented(text: str) -> str:
    import json

    return json.dumps(json.loads(text), indent=2) + "\n"
