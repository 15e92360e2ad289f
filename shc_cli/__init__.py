"""Command line of shc: flags in, one library call, report and exit code out."""
