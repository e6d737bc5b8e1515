"""Great Expectations: suites, ftcore's own expectations, and what they say of a data set."""

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when GX is imported, by whichever module comes first
