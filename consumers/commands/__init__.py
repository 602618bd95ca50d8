"""One module a command of `calodqm`: each has HELP, add_arguments and run."""
