/* SPDX-License-Identifier: Apache-2.0 */
/* Codes that people read to each other and type: upper case without vowels and without what looks alike, in
 * groups of four. */
#ifndef CARDEA_LOGIN_CODE_H
#define CARDEA_LOGIN_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* 28 signs: 38 bits in 8 of them, 76 in 16. */
#define CODE_SHORT 8
#define CODE_LONG 16
#define CODE_TEXT_MAX (CODE_LONG + CODE_LONG / 4)
#define CODE_DIGEST 32

/* A new one of `signs` signs (CODE_SHORT or CODE_LONG), such as "BDWK-7F3M". */
void code_make(size_t signs, char ret[CODE_TEXT_MAX]);

/* Read what somebody has typed: lower case, and '-' and blanks or none of them between, are taken as well.
 * False where it is none of `signs` signs. */
bool code_read(struct str typed, size_t signs, char ret[CODE_TEXT_MAX]);

/* What is kept of a secret that is compared later. */
void code_digest(struct str secret, uint8_t ret[CODE_DIGEST]);

#endif
