/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/shell.h"

#include <string.h>

void shell_put_word(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*word != '\0' && strspn(word, plain) == strlen(word)) {
        buf_printf(b, "%s", word);
        return;
    }
    buf_append(b, "'", 1);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            buf_append(b, "'\\'", 3); /* out, an escaped quote, and in again */
        buf_append(b, word, 1);
    }
    buf_append(b, "'", 1);
}
