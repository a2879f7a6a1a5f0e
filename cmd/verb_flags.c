/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/verb_flags.h"

#include <string.h>

#include "base/check.h"
#include "base/str.h"

/* Up to `cap` - 1 bytes. */
static void put(char *to, size_t cap, const char *text, size_t len)
{
    len = MIN(len, cap - 1);
    memcpy(to, text, len);
    to[len] = '\0';
}

/* Where a column of a line ends: the options, or their help before the variable that stands for them. At two
 * spaces, which neither holds. */
static const char *end_of_column(const char *at, const char *end)
{
    while (at < end && !(at[0] == ' ' && at + 1 < end && at[1] == ' '))
        at++;
    return at;
}

/* "--config FILE" or "-c". */
static void add(struct verb_flags *flags, const char *at, const char *end)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    CHECK(flags->n < VERB_FLAGS_MAX);
    struct verb_flag *f = &flags->v[flags->n++];
    *f = (struct verb_flag){.help = ""};
    put(f->name, sizeof(f->name), at, (size_t)((space != NULL ? space : end) - at));
    if (space != NULL)
        put(f->value, sizeof(f->value), space + 1, (size_t)(end - space - 1));
}

/* A short name and the long one behind it are the same option. */
static void finish_line(struct verb_flags *flags, size_t first, const char *help, const char *end)
{
    size_t longs = 0, values = 0;
    for (size_t i = first; i < flags->n; i++) {
        struct verb_flag *f = &flags->v[i];
        longs += f->name[1] == '-';
        values += f->value[0] != '\0';
        put(f->help, sizeof(f->help), help, (size_t)(end - help));
        if (f->name[1] != '-' && i + 1 < flags->n && f->value[0] == '\0')
            put(f->value, sizeof(f->value), flags->v[i + 1].value, strlen(flags->v[i + 1].value));
    }
    for (size_t i = first; i < flags->n; i++)
        flags->v[i].elsewhere = longs > 1 && values == 0;
}

/* "With server:" */
static void read_heading(const char *at, const char *end, char form[sizeof(((struct verb_flag *)0)->form)])
{
    static const char with[] = "With ";
    size_t len = strlen(with);
    if ((size_t)(end - at) > len + 1 && memcmp(at, with, len) == 0 && end[-1] == ':' &&
        memchr(at + len, ' ', (size_t)(end - at) - len) == NULL)
        put(form, sizeof(((struct verb_flag *)0)->form), at + len, (size_t)(end - at) - len - 1);
}

static void read_line(struct verb_flags *flags, const char *at, const char *end)
{
    size_t first = flags->n;
    if (at == end || *at != ' ')
        return;
    while (at < end && *at == ' ')
        at++;
    if (at == end || *at != '-')
        return;
    const char *last = end_of_column(at, end), *help = last;
    while (at < last) {
        const char *comma = memmem(at, (size_t)(last - at), ", ", 2);
        const char *stop = comma != NULL ? comma : last;
        add(flags, at, stop);
        at = comma != NULL ? comma + 2 : last;
    }
    while (help < end && *help == ' ')
        help++;
    finish_line(flags, first, help, end_of_column(help, end));
}

void verb_flags_read(const char *options, struct verb_flags *ret)
{
    char form[sizeof(ret->v[0].form)] = "";
    ret->n = 0;
    for (const char *line = options, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        size_t first = ret->n;
        read_heading(line, end, form);
        read_line(ret, line, end);
        for (size_t i = first; i < ret->n; i++)
            put(ret->v[i].form, sizeof(ret->v[i].form), form, strlen(form));
    }
}
