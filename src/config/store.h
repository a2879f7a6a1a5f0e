/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one configuration: handed out piece by piece, freed at once. */
#ifndef CARDEA_CONFIG_STORE_H
#define CARDEA_CONFIG_STORE_H

#include <stddef.h>

struct config_store;

/* NULL when memory is out. */
struct config_store *store_new(void);
void store_free(struct config_store *s);

/* `n` zeroed items of `size` bytes, aligned for anything; NULL when memory is out. */
void *store_alloc(struct config_store *s, size_t n, size_t size);

/* A NUL-terminated copy; NULL when memory is out. */
char *store_text(struct config_store *s, const char *p, size_t len);

#endif
