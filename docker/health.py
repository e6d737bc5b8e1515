"""Exit 0 when an address answers with a status below 400, else 1. The image has no curl.

Usage: ftcore-health URL
"""

from __future__ import annotations

import sys
import urllib.request

# No proxy: the address is this container or its neighbour.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    opener.open(sys.argv[1], timeout=5).close()
except OSError as error:  # refused, timed out, or an HTTP error (HTTPError is an OSError)
    raise SystemExit(f"{sys.argv[1]}: {error}") from None
