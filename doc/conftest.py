"""What pytest does not read when it runs the code of these pages."""

collect_ignore = ["conf.py", "_build", "auto_examples", "generated"]
