"""Jobs: arguments to settings to one library call to an exit code. Each also runs under spark-submit."""
