/*
 * The vocabulary of the kernels: short vectors of REAL, lowered by GCC or Clang to
 * the instructions of the machine, which are chosen when the program starts.
 *
 * The including file defines REAL (float or double) and NAME(f), which appends
 * the suffix of that type to a function's name.  One source, two precisions.
 */
#ifndef SKSPARSENN_LANES_H
#define SKSPARSENN_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h> /* also defines __GLIBC__, which the test below needs */

/* Run-time dispatch: one copy of the function per x86-64 level, picked by the
 * loader.  Only GCC with glibc does this well; others build the baseline. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CLONES
#endif

#if defined(__GNUC__) || defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(address) __builtin_prefetch(address)
#else
#error "sksparsenn needs GCC or Clang (on Windows: clang-cl or MinGW): its kernels use vector extensions"
#endif

/* The unit of all kernels: 32 bytes, the widest vector that GCC neither splits nor
 * takes to pieces on a machine with AVX2. */
#define UNIT_BYTES 32

/* Rows are padded with zeros to a multiple of LANES numbers, in both precisions. */
#define LANES 8

/* Points are packed in blocks of two units, coordinate by coordinate. */
#define BLOCK_BYTES 64

/* Half-spaces evaluated together on a block, and blocks whose hits are noted as
 * bits before any is listed: branches then miss once a stretch, not once a block. */
#define GROUP 4
#define STRETCH 64

/* Flags of a listed number, which stands for more than a point. */
#define LEAF (UINT32_C(1) << 31)
#define EXCEPTION (UINT32_C(1) << 30)

/* Children of a tree node, tested together. */
#define FANOUT 8

#define SHUFFLE __builtin_shufflevector

/* The lanes of v in the order that another vector, of integers of the same size, names. */
#ifdef __clang__
#define PERMUTE(v, order) __builtin_shufflevector(v, order)
#else
#define PERMUTE(v, order) __builtin_shuffle(v, order)
#endif

#endif
