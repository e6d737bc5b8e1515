"""What is wrong with a model and what to do about it: errors by kind, group and cause, from the files that `evaluate` wrote.

Every module is a pure function over rows and answers; `analyse` runs them all, `page` draws them, `files` writes and finds them.
Nothing here decides: the verdict is the gate's.
"""
