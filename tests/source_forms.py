"""A program whose functions fail in every form: prints how the replays saw them.

Runs as a script, by ``python -c``, from standard input and by ``%run``: one line of
JSON with, for each form, the outcome, the file, the line's text and the notes.
"""

import functools
import json
import linecache
import sys

from distributed import Client, LocalCluster, wait

import dbgkit


def plain(x):
    return 1 / x  # plain


def wrapping(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)

    return inner


@wrapping
def decorated(x):
    return 2 / x  # decorated


def making(n):
    def inner(x):
        return n / x  # closure

    return inner


class Model:
    factor = 3

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return 3 / x  # called

    def method(self, x):
        return self.weight / x  # method

    @staticmethod
    def static(x):
        return 4 / x  # static

    @classmethod
    def of_class(cls, x):
        return cls.factor / x  # of_class

    @property
    def ratio(self):
        return 1 / self.weight  # property


def helper(x):
    return 5 / x  # helper


def helped(x):
    return helper(x)


def generator(x):
    return sum(6 / each for each in [x])  # generator


def comprehension(x):
    return [7 / each for each in [x]]  # comprehension


def of_input(model):
    return model.ratio


first, second = lambda x: 1 / x, lambda x: 1.0 / x  # lambdas


async def coroutine(x):
    return 8 / x  # coroutine


FORMS = {
    "plain": plain,
    "decorated": decorated,
    "closure": making(3),
    "called": Model(1),
    "method": Model(2).method,
    "static": Model.static,
    "of_class": Model.of_class,
    "helper": helped,
    "generator": generator,
    "comprehension": comprehension,
    "lambdas": second,
    "partial": functools.partial(lambda y, x: y / x, 9),  # partial
    "coroutine": coroutine,
}


def seen(replay):
    frame = replay.exception.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    filename = frame.tb_frame.f_code.co_filename
    line = linecache.getline(filename, frame.tb_lineno).strip()
    return [replay.outcome, filename, line, list(replay.notes)]


def main():
    processes = "--processes" in sys.argv
    found = {}
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        futures = {
            name: client.submit(function, 0, key=name)
            for name, function in FORMS.items()
        }
        model = client.submit(Model, 0, key="model")
        futures["property"] = client.submit(of_input, model, key="property")
        wait(list(futures.values()))
        for name, future in futures.items():
            found[name] = seen(dbgkit.replay(future))
        if processes:  # else the workers' class is this one, and edited with it
            Model.method = kept = lambda self, x: 0
            Model.ratio = property(kept)
            for name in ("method", "property"):
                found[f"edited {name}"] = seen(dbgkit.replay(futures[name]))
            found["kept"] = Model.method is kept
    print("FOUND", json.dumps(found))


if __name__ == "__main__":
    main()
