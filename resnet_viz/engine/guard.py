"""What the embedded scheduler and nannies preload: they end when the app that started them has gone, however it went.

A nanny's worker ends with its nanny.
"""

from __future__ import annotations

import os
import threading
import time

APP_VARIABLE = "RESNET_VIZ_APP"  # the process that started the cluster; it may have gone before this one looks
CHECK_SECONDS = 0.5


def dask_setup(_: object) -> None:
    """Called in the process as it starts."""
    os.setpgrp()  # Ctrl-C in a terminal goes to the app alone, which ends the rest
    app = int(os.environ[APP_VARIABLE])

    def watch() -> None:
        while os.getppid() == app:
            time.sleep(CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
