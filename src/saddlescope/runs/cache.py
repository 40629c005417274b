"""Compiled programs are kept between runs of the command, because compiling is most of what a first run waits for."""

import os
from pathlib import Path

OFF = ("off", "0", "no", "false")


def keep_compiled_programs() -> None:
    """Points JAX at a cache in the user's cache directory, for this process alone.

    `SADDLESCOPE_CACHE` names another directory, or "off". A library that is imported never does this: the settings are its user's.
    """
    chosen = os.environ.get("SADDLESCOPE_CACHE", "")
    if chosen.lower() in OFF or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(chosen) if chosen else home / "saddlescope" / "compiled"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a home that cannot be written to costs time, not results
    import jax

    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
