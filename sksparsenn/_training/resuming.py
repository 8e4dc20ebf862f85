"""The memory from which a later fit goes on exactly where training stopped: plain arrays and numbers.

Parts of training that change from step to step name their fields in `remembered`; a
memory holds these, by the names of part and field.
"""

import numpy as np

from sksparsenn._samples.points import padded_rows
from sksparsenn._utils.sklearn import hash_of_contents

RANDOM_STATE = "key", "position", "has_gauss", "gauss"


def remember(*parts, random_state=None):
    """Return the memory of these parts, of which some may be None."""
    memory = {}
    for part in parts:
        for name in () if part is None else part.remembered:
            value = getattr(part, name)
            if value is not None:
                memory[_key(part, name)] = np.array(value) if isinstance(value, list) else value
    if random_state is not None:
        _, *values = random_state.get_state()
        memory |= {f"random_state.{name}": value for name, value in zip(RANDOM_STATE, values, strict=True)}
    return memory


def recall(memory, *parts):
    """Put the parts back into the state that is remembered."""
    for part in parts:
        for name in () if part is None else part.remembered:
            value = memory.get(_key(part, name))
            if value is not None:
                if isinstance(getattr(part, name), list):
                    value = value.tolist()
                elif isinstance(value, np.ndarray):
                    value = padded_rows(value) if value.ndim == 2 else value.copy()
                setattr(part, name, value)


def recalled_random_state(memory):
    """Return a generator that goes on where the remembered one stopped, or None."""
    if "random_state.key" not in memory:
        return None
    random_state = np.random.RandomState()
    random_state.set_state(("MT19937", *(memory[f"random_state.{name}"] for name in RANDOM_STATE)))
    return random_state


def fingerprint(*values):
    """Return a text that is the same for the same arrays and numbers."""
    return hash_of_contents(values)


def _key(part, name):
    return f"{type(part).__name__}.{name}"
