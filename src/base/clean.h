/* SPDX-License-Identifier: Apache-2.0 */
/* Text from one side that another side's terminal or log will show. */
#ifndef CARDEA_BASE_CLEAN_H
#define CARDEA_BASE_CLEAN_H

#include <stddef.h>

/* Copy `text`, NUL-terminated, into `cap` (>= 1) bytes. Control characters become '?', those of ISO 8859 in
 * their UTF-8 form too (some terminals obey them), and so does each byte that is no UTF-8: what comes of it
 * has a place in JSON. What is too long is cut between two characters of UTF-8. */
void str_clean(char *ret, size_t cap, const char *text);

#endif
