"""The one error of the benchmarks: a count that is wrong, or a server that does not do what is measured."""


class Failed(Exception):
    pass
