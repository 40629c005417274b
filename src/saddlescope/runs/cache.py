"""Compiled programs are kept between runs of the command, because compiling is most of what a first run waits for."""

import importlib.metadata
import os
from pathlib import Path

OFF = ("off", "0", "no", "false")
#: Half as long to compile, and up to a third longer to run (measured, two-layer networks): right where programs are used a few times.
QUICKER_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false"
#: Versions of jaxlib that are known to have this flag: a process ends at once that is given one it does not know.
WITH_FLAG = ("0.10.",)


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


def compile_quicker() -> None:
    """Asks XLA for less work on each program, in this process and those that it starts: for many small problems, not for one long run.

    Called before the first program is compiled; later it changes nothing. Numbers agree to rounding of 64 bits. A user who has set the same flag is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    known = importlib.metadata.version("jaxlib").startswith(WITH_FLAG)
    if known and QUICKER_TO_COMPILE.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {QUICKER_TO_COMPILE}".strip()


def keep_quickly_compiled_programs() -> None:
    """Both: what a process of many small problems begins with."""
    compile_quicker()
    keep_compiled_programs()
