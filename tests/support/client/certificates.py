"""Certificates for tests that need no authority but their own."""

import subprocess
from pathlib import Path


def self_signed(folder: Path, name: str) -> Path:
    """Make a certificate that has signed itself, and so is its own authority, and its key.

    Args:
        folder: where to; there is.
        name: whose, as ``DNS:localhost`` or ``IP:127.0.0.1``.

    Returns:
        The folder, with ``cert.pem`` and ``key.pem``.
    """
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=one "
        f"-addext subjectAltName={name} -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder
