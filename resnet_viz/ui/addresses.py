"""Under which addresses a page can be reached: one that names “this computer” is of no use to anyone else."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

import streamlit as st

EVERYWHERE = (None, "", "0.0.0.0", "::")  # server.address: all of the machine's addresses
NOWHERE = "192.0.2.1"  # RFC 5737: for documents


def names_own_computer(url: str) -> bool:
    """Whether an address means, to everyone who opens it, the computer that they sit at."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def find_address_for_others(url: str) -> str | None:
    """The same page as others reach it: by browser.serverAddress where that is set, else in the machine's network.

    None where the page comes through something else than the server's own port, or the server listens elsewhere only.
    """
    parts = urlsplit(url)
    if parts.port != st.get_option("server.port"):
        return None
    host = st.get_option("browser.serverAddress")
    if names_own_computer(f"//{host}"):
        host = find_network_address() if st.get_option("server.address") in EVERYWHERE else None
    return host and urlunsplit(parts._replace(netloc=f"{host}:{parts.port}"))


def find_network_address() -> str | None:
    """The machine's own address in the network it is in just now. Asks the routing table; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((NOWHERE, 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if names_own_computer(f"//{address}") else address
