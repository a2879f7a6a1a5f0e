/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as text. */
#ifndef CARDEA_BASE_JSON_H
#define CARDEA_BASE_JSON_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"

/* Append a value without white space. False, and nothing appended, where it is NULL, memory is out or `b` is
 * full. */
bool buf_json(struct buf *b, const json_t *value);

#endif
