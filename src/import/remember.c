/* SPDX-License-Identifier: Apache-2.0 */
#include "import/remember.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/str.h"

static bool may_be_secret(const char *text)
{
    static const char *const words[] = {"*pass*", "*secret*", "*pin*", "*psk*", "*token*", "*credential*"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_glob_nocase(words[i], text))
            return true;
    return false;
}

void remember_add(struct remember *r, struct pool *p, const char *text, size_t len)
{
    bool letters = false, setting = false;
    for (size_t i = 0; i < len; i++) {
        letters |= isalpha((unsigned char)text[i]) != 0;
        setting |= strchr("=[]{}", text[i]) != NULL;
    }
    const char *line = pool_copy(p, text, len);
    if (letters && !setting && !may_be_secret(line) && r->n <= REMEMBER_MAX)
        r->lines[r->n++] = line;
}

void remember_forget(struct remember *r)
{
    r->n = 0;
}

void remember_put(struct remember *r, struct node *n)
{
    for (size_t i = 0; i < r->n && r->n <= REMEMBER_MAX; i++)
        outline_remark(n, r->lines[i]);
    r->n = 0;
}
