from sksparsenn._half_space import HalfSpaceIndex
from sksparsenn._margin_lists import MarginLists
from sksparsenn._max_tree import MaxTree
