import logging
import sys


def inner():
    return {}["missing"]


def outer(number):
    try:
        inner()
    except KeyError as cause:
        raise ValueError(f"round {number} failed") from cause


print("INFO ready", file=sys.stderr)
for number in (1, 2):
    try:
        outer(number)
    except ValueError:
        logging.exception("something happened")
try:
    try:
        inner()
    except KeyError:
        1 / 0
except ZeroDivisionError:
    logging.exception("something else happened")
print("INFO done", file=sys.stderr)


def deep(n):
    deep(n + 1)


try:
    deep(0)
except RecursionError:
    logging.exception("too deep")
exec("def broken(:")
