"""Labels against targets: metrics with intervals, paired differences, baselines, the files of evaluate."""
