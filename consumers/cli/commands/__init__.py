"""One module a command of `calodqm`: each has add_arguments and run."""
