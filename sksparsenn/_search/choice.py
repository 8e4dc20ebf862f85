"""Which search a fit takes, and the memory that training needs beside it."""

from sksparsenn._search.searches import SEARCHES, SPARSE_SEARCHES, BruteSearch, MarginNodeSearch, WeightSearch
from sksparsenn._utils.memory import require_memory

# Measured: with so few samples, sums over groups of them cost what they save.
FEW_SAMPLES = 1 << 11
# Measured: of so few pairs a scan takes less time than the upkeep of lists.
FEW_PAIRS = 1 << 18
# Of a weight: its mean over steps, and the change of that.
BYTES_OF_MEANS = 16
# Numbers of samples have bits to spare up to here, for flags.
MANY_SAMPLES = 1 << 30


def make_search(name, samples, W, threshold, *, in_batches, all_move=True, forward_only=False):
    """Return the search of that name; for "auto" the one that measurements favour.

    With `forward_only`, for one output, candidates need not give inner products, only outputs.

    With all samples in every step, margin lists win in any dimension.  With batches a
    neuron moves further between two visits of a sample than any useful margin.  There the
    index over the weights wins where a tree over them pays and a step moves only the
    neurons that fire, else the scan.  Sparse samples have many features, where no tree pays.
    """
    dense = not samples.is_sparse
    if samples.is_sparse and name not in ("auto", *SPARSE_SEARCHES):
        raise ValueError(
            f"search={name!r} needs dense X, but X is sparse; use search='margin' or 'brute', or X.toarray()."
        )
    if name == "auto" and not in_batches:
        name = "margin"
    if name == "auto" and (all_move or not dense):
        name = "brute"
    if name == "margin" and dense and forward_only and not in_batches and FEW_SAMPLES < len(samples) <= MANY_SAMPLES:
        return MarginNodeSearch(samples, W, threshold)
    if name == "auto":
        search = WeightSearch(samples, W, threshold)
        return search if search.reporter.method == "tree" else BruteSearch(samples, W, threshold)
    return SEARCHES[name](samples, W, threshold)


def make_validation_search(samples, W, threshold, *, in_batches):
    """Return the search for validation samples; in batches nothing is known of how far neurons move between scores."""
    few = len(samples) * len(W) <= FEW_PAIRS
    return make_search("brute" if in_batches or few else "margin", samples, W, threshold, in_batches=in_batches)


def require_training_memory(samples, width, n_features, *, validates=False, averages=False):
    """Raise MemoryError, before anything is allocated, if what training needs beyond the search would not fit."""
    arrays = samples.arrays_in_training + validates * samples.arrays_in_validation
    n_bytes = (arrays * samples.itemsize + averages * BYTES_OF_MEANS) * width * samples.shape[1]
    require_memory(n_bytes, f"training {width} neurons on {n_features} features", "lower width")
