"""The command line: one module a command, in `commands`.

In: words at a prompt. Out: lines, files, exit codes. Never: logic that a service or another command
would need: that lives in the room that it is about.
"""
