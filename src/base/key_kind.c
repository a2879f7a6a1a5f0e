/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key_kind.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

#define PLAIN_MAX 32

static const struct row {
    const char *name, *synonyms;
} rows[] = {
#define KIND(NAME, name, type, size, synonyms) [KEY_##NAME] = {name, synonyms},
#include "tables/key_kinds.def"
#undef KIND
};

const char *key_kind_name(enum key_kind kind)
{
    CHECK((unsigned)kind < KEY_KINDS);
    return rows[kind].name;
}

/* Without what makes no difference. A text that is too long for a kind is cut, and is none. */
static void make_plain(const char *text, char ret[PLAIN_MAX])
{
    size_t n = 0;
    for (; *text != '\0' && n < PLAIN_MAX - 1; text++)
        if (strchr("-_ ", *text) == NULL)
            ret[n++] = (char)tolower((unsigned char)*text);
    ret[n] = '\0';
}

static bool is_among(const char *plain, const char *words)
{
    size_t len = strlen(plain);
    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, plain, n) == 0)
            return true;
        at += n;
    }
    return false;
}

bool key_kind_parse(const char *text, enum key_kind *ret)
{
    char plain[PLAIN_MAX], name[PLAIN_MAX];
    make_plain(text, plain);
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        make_plain(rows[kind].name, name);
        if (strcmp(plain, name) != 0 && !is_among(plain, rows[kind].synonyms))
            continue;
        *ret = kind;
        return true;
    }
    return false;
}

const char *key_kind_names(char ret[KEY_KIND_NAMES_MAX])
{
    size_t n = 0;
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++)
        n += (size_t)snprintf(ret + n, KEY_KIND_NAMES_MAX - n, "%s%s",
                              kind == 0               ? ""
                              : kind == KEY_KINDS - 1 ? " or "
                                                      : ", ",
                              rows[kind].name);
    CHECK(n < KEY_KIND_NAMES_MAX);
    return ret;
}

const char *key_kind_hint(const char *word, char *ret)
{
    char plain[PLAIN_MAX], name[PLAIN_MAX + 2], names[KEY_KINDS][PLAIN_MAX];
    const char *list[KEY_KINDS + 1] = {NULL};
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        make_plain(rows[kind].name, names[kind]);
        list[kind] = names[kind];
    }
    make_plain(word, plain);
    str_hint(plain, list, ret);
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        snprintf(name, sizeof(name), "'%s'", names[kind]);
        if (strstr(ret, name) == NULL)
            continue;
        snprintf(ret, STR_HINT_MAX, "; did you mean '%s'?", rows[kind].name);
        break;
    }
    return ret;
}
