"""Cholesky factors in tiles, by the BLAS and LAPACK of SciPy.

Our threads take tiles, and BLAS computes each of them with one thread: the factor has the
same bits for any number of threads, which LAPACK's own threading does not promise.  Callers
limit BLAS to one thread meanwhile.
"""
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from scipy.linalg.cython_blas cimport dgemm, dsyrk, dtrsm
from scipy.linalg.cython_lapack cimport dpotrf

from sksparsenn._utils.threads cimport threads_for

cdef enum:
    TILE = 192


def fill_upper(double[:, ::1] A, const double[::1] diagonal, double ridge):
    """Copy the strictly lower triangle of A to the upper one, and write diagonal + ridge between them."""
    cdef Py_ssize_t n = A.shape[0], n_tiles = (n + TILE - 1) // TILE, tile, i, j, column
    for tile in prange(n_tiles, schedule="dynamic", nogil=True, num_threads=threads_for(<double>n * n / 2)):
        for column in range(tile, n_tiles):
            for i in range(tile * TILE, min((tile + 1) * TILE, n)):
                for j in range(max(column * TILE, i + 1), min((column + 1) * TILE, n)):
                    A[i, j] = A[j, i]
        for i in range(tile * TILE, min((tile + 1) * TILE, n)):
            A[i, i] = diagonal[i] + ridge


cdef int factor_tile(double *A, int n, int order) noexcept nogil:
    cdef int info = 0
    dpotrf(b"L", &order, A, &n, &info)
    return info


cdef void solve_tile(const double *L, double *B, int n, int rows, int order) noexcept nogil:
    # B <- B L^-T
    cdef double one = 1
    dtrsm(b"R", b"L", b"T", b"N", &rows, &order, &one, <double *>L, &n, B, &n)


cdef void update_tile(const double *A, const double *B, double *C, int n, int rows, int columns,
                      int depth) noexcept nogil:
    # C <- C - A B^T, of which only the lower triangle counts if C lies on the diagonal.
    cdef double one = 1, minus = -1
    if A == B:
        dsyrk(b"L", b"N", &rows, &depth, &minus, <double *>A, &n, &one, C, &n)
    else:
        dgemm(b"N", b"T", &rows, &columns, &depth, &minus, <double *>A, &n, <double *>B, &n, &one, C, &n)


cdef inline int extent(Py_ssize_t tile, Py_ssize_t n) noexcept nogil:
    return <int>min(<Py_ssize_t>TILE, n - tile * TILE)


cdef inline int threads_for_tiles(Py_ssize_t n_tiles, double work) noexcept nogil:
    # A tile is computed by one thread.
    return <int>min(n_tiles, <Py_ssize_t>threads_for(work))


def cholesky_upper(double[:, ::1] A):
    """Factor the symmetric matrix in the upper triangle of A in place: A = R^T R, R upper triangular.

    The strictly lower triangle is not touched.  Return whether A is positive definite.
    """
    cdef Py_ssize_t n = A.shape[0], n_tiles = (n + TILE - 1) // TILE, k, rest, below, pair, i, j
    cdef double *corner = &A[0, 0] if n else NULL
    cdef int info
    # For LAPACK, which counts along columns, the upper triangle is the lower one: tile (i, j) starts at i + j n.
    for k in range(n_tiles):
        PyErr_CheckSignals()  # a large factor takes many seconds
        with nogil:
            info = factor_tile(corner + k * TILE * (n + 1), <int>n, extent(k, n))
        if info != 0:
            return False
        rest = n_tiles - k - 1
        if rest == 0:
            break
        below = n - (k + 1) * TILE
        for i in prange(k + 1, n_tiles, schedule="dynamic", nogil=True,
                        num_threads=threads_for_tiles(rest, <double>below * TILE * TILE / 2)):
            solve_tile(corner + k * TILE * (n + 1), corner + i * TILE + k * TILE * n, <int>n, extent(i, n),
                       extent(k, n))
        for pair in prange(rest * rest, schedule="dynamic", nogil=True,
                           num_threads=threads_for_tiles(rest * (rest + 1) // 2, <double>below * below * TILE / 2)):
            i = k + 1 + pair // rest
            j = k + 1 + pair % rest
            if j <= i:
                update_tile(corner + i * TILE + k * TILE * n, corner + j * TILE + k * TILE * n,
                            corner + i * TILE + j * TILE * n, <int>n, extent(i, n), extent(j, n), extent(k, n))
    return True
