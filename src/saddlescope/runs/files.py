"""Records on disk: one netCDF file, put in place whole, and what people and spreadsheets read beside it."""

import csv
import errno
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
    writers = {
        "record.nc": lambda path: record.to_netcdf(path, engine="h5netcdf"),
        "summary.json": lambda path: path.write_text(_indented(record.attrs["summary"]), encoding="utf-8"),
        "curve.csv": lambda path: path.write_text(_curve(record), encoding="utf-8"),
    }
    written: dict[Path, Path] = {}
    try:
        # all of them before the first is put in place: a full disk leaves what was there
        for name, write in writers.items():
            written[directory / name] = _temporary(directory / name)
            write(written[directory / name])
            _finish(written[directory / name])
        for path, temporary in written.items():
            temporary.replace(path)
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def load(path: "str | os.PathLike[str]") -> xr.Dataset:
    """Reads a record back: the file record.nc, or the directory it is in.

    **Raises:** `OSError` where it is missing or not such a file, `ValueError` where it is not a record of this format.
    """
    path = Path(path)
    file = path / "record.nc" if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(2, "no record here; `saddlescope run` writes one", str(file))
    try:
        with xr.open_dataset(file, engine="h5netcdf") as record:
            record.load()
    except PermissionError:
        raise
    except OSError as error:
        reason = " ".join(str(error).split())
        way = "copy it again, or run its spec again (without --resume)"
        raise OSError(errno.EIO, f"not a whole record ({reason}): {way}", str(file)) from error
    schema = record.attrs.get("schema")
    if schema != "saddlescope.run/1":
        raise ValueError(f"{file} needs the format saddlescope.run/1: found {schema!r}.")
    return record


def _temporary(path: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    return Path(name)


def _finish(path: Path) -> None:
    """Gives a temporary file the permissions of any other, and has it on the disk before its name says so."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
    with path.open("rb") as file:
        os.fsync(file.fileno())


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
