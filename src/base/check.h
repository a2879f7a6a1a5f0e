/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants. They stay on in release builds: a broken invariant stops the process instead of going on wrong.
 */
#ifndef CARDEA_BASE_CHECK_H
#define CARDEA_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* Print what failed on standard error and abort. Never returns. */
_Noreturn void check_failed(const char *expr, const char *file, int line);

#define CHECK(cond) (__builtin_expect(!!(cond), 1) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

/* Every heap object that outlives a function begins with `uint32_t magic`. */
#define CHECK_MAGIC(obj, value) CHECK((obj) != NULL && (obj)->magic == (value))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
