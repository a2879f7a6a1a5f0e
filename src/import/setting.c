/* SPDX-License-Identifier: Apache-2.0 */
#include "import/setting.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "base/utf8.h"

#define NAME_SHOWN_MAX 40

void import_begin(struct import *im, const struct import_files *files, const struct option_row *rows,
                  size_t len, struct err *err)
{
    *im = (struct import){.files = files, .rows = rows, .rows_len = len, .err = err};
    im->root = outline_new(&im->pool);
    im->listeners = outline_list(im->root, "listeners");
    im->certificates = outline_list(im->root, "certificates");
    im->trust = outline_list(im->root, "trust");
    im->routes = outline_list(im->root, "routes");
    im->policy = outline_list(im->root, "policy");
    im->limits = outline_map(im->root, "limits");
}

/* The remarks as JSON, and the counts. */
static void put_report(const struct import *im, struct import_result *ret)
{
    static const char *const words[] = {"taken_over", "differs", "not_needed", "without_equivalent"};
    struct buf remarks = {0};
    for (const struct setting *s = im->all; s != NULL; s = s->also) {
        ret->taken += s->fate == FATE_TAKEN || s->fate == FATE_DIFFERS;
        if (s->said == NULL)
            continue;
        ret->needless += s->fate == FATE_NEEDLESS;
        ret->missing += s->fate == FATE_MISSING;
        buf_printf(&remarks, "%s\n  {\"file\":", remarks.len > 0 ? "," : "");
        str_json(&remarks, s->at.file, strlen(s->at.file));
        buf_printf(&remarks,
                   ",\"line\":%u,\"column\":%u,\"option\":\"%s\",\"fate\":\"%s\",\"remark\":", s->at.line,
                   s->at.column, s->row->name, words[s->fate]);
        str_json(&remarks, s->said, strlen(s->said));
        buf_printf(&remarks, "}");
    }
    buf_printf(&ret->json,
               "{\"taken_over\":%zu,\"not_needed\":%zu,\"without_equivalent\":%zu,\"remarks\":[%s\n]}\n",
               ret->taken, ret->needless, ret->missing, remarks.len > 0 ? buf_text(&remarks) : "");
    buf_free(&remarks);
}

int import_end(struct import *im, int rc, const char *program, const char *what, struct import_result *ret)
{
    if (rc == 0) {
        put_report(im, ret);
        struct node *head = outline_new(&im->pool);
        outline_remark(head, pool_printf(&im->pool,
                                         "From %s, %s, by 'cardea import'. Comments say what has no "
                                         "equivalent, what needs none, and what differs.",
                                         program, what));
        outline_print(&ret->yaml, head);
        outline_print(&ret->yaml, im->root);
    }
    pool_free(&im->pool);
    return rc;
}

int import_fail(struct import *im, struct place at, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(im->err, "%s:%u:%u: %s", at.file, at.line, at.column, text);
}

/* ---- Names ---- */

static int compare(const struct import *im, const char *a, const char *b)
{
    return im->nocase ? strcasecmp(a, b) : strcmp(a, b);
}

const struct option_row *setting_row(const struct import *im, const char *name)
{
    for (size_t i = 0; i < im->rows_len; i++)
        if (compare(im, im->rows[i].name, name) == 0)
            return &im->rows[i];
    return NULL;
}

/* A name that nobody knows: it may be anything, so no more of it is shown than looks like one. */
static int unknown_name(struct import *im, struct place at, const char *name)
{
    char shown[NAME_SHOWN_MAX], hint[STR_HINT_MAX];
    const char **names = pool_alloc(&im->pool, (im->rows_len + 1) * sizeof(*names));
    for (size_t i = 0; i < im->rows_len; i++)
        names[i] = im->rows[i].name;
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    str_copy(shown, sizeof(shown), name, len);
    return import_fail(im, at, "found '%s'%s, expected the name of an option%s", shown,
                       name[len] != '\0' ? " and more" : "", str_hint(shown, names, hint));
}

static int check_value(struct import *im, struct place at, const char *name, const char *value)
{
    for (const char *p = value; *p != '\0';) {
        size_t n = utf8_length(p, strlen(p));
        if (n == 0 || (unsigned char)*p < 0x20 || *p == 0x7f)
            return import_fail(im, at, "found byte 0x%02x in the value of '%s', expected text in UTF-8",
                               (unsigned char)*p, name);
        p += n;
    }
    return 0;
}

int setting_add(struct import *im, struct scope *scope, unsigned allowed, const char *where, struct place at,
                const char *name, const char *value)
{
    const struct option_row *row = setting_row(im, name);
    if (row == NULL)
        return unknown_name(im, at, name);
    if ((row->flags & allowed) == 0)
        return import_fail(im, at, "found '%s' %s, where it has no meaning", row->name, where);
    const struct setting *before = setting_find(scope, row->name);
    if (before != NULL && (row->flags & OPTION_MANY) == 0)
        return import_fail(im, at, "found '%s' again, expected it once: see line %u", row->name,
                           before->at.line);
    if (im->settings_len++ >= SETTINGS_MAX)
        return import_fail(im, at, "found more than %d settings, expected fewer", SETTINGS_MAX);
    if (row->fate == FATE_TAKEN && check_value(im, at, row->name, value) < 0)
        return -1;
    struct setting *s = pool_alloc(&im->pool, sizeof(*s));
    *s = (struct setting){.row = row, .value = pool_copy(&im->pool, value, strlen(value)), .at = at};
    *(scope->last != NULL ? &scope->last->next : &scope->first) = s;
    *(im->all_last != NULL ? &im->all_last->also : &im->all) = s;
    scope->last = im->all_last = s;
    return 0;
}

struct setting *setting_next(const struct setting *after, const char *name)
{
    for (struct setting *s = after->next; s != NULL; s = s->next)
        if (strcmp(s->row->name, name) == 0)
            return s;
    return NULL;
}

struct setting *setting_find(const struct scope *scope, const char *name)
{
    for (struct setting *s = scope->first; s != NULL; s = s->next)
        if (strcmp(s->row->name, name) == 0)
            return s;
    return NULL;
}

const char *setting_value(const struct scope *scope, const char *name, const char *fallback)
{
    const struct setting *s = setting_find(scope, name);
    return s == NULL ? fallback : s->value;
}

/* ---- What becomes of them ---- */

void setting_remark(struct import *im, struct node *n, struct setting *s, enum fate fate, const char *fmt,
                    ...)
{
    static const char *const leads[] = {"", "", "not needed: ", "no equivalent: "};
    char text[ERR_TEXT_MAX];
    if (s->said != NULL)
        return;
    s->fate = fate;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *slash = strrchr(s->at.file, '/');
    s->said = pool_copy(&im->pool, text, strlen(text));
    outline_remark(n, pool_printf(&im->pool, "%s:%u %s: %s%s", slash != NULL ? slash + 1 : s->at.file,
                                  s->at.line, s->row->name, leads[fate], text));
}

static bool is_off(const char *value)
{
    static const char *const words[] = {"", "no", "off", "false"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(words[i], value) == 0)
            return true;
    return false;
}

void setting_judge(struct import *im, struct node *n, const struct scope *scope)
{
    for (struct setting *s = scope->first; s != NULL; s = s->next) {
        if (s->row->fate == FATE_MISSING && is_off(s->value))
            setting_remark(im, n, s, FATE_NEEDLESS, "it is off");
        else if (s->row->fate != FATE_TAKEN)
            setting_remark(im, n, s, s->row->fate, "%s", s->row->text);
    }
}

/* ---- Values ---- */

int setting_number(struct import *im, const struct setting *s, unsigned long max, unsigned long *ret)
{
    uint64_t number;
    if (!str_u64(s->value, max, &number))
        return import_fail(im, s->at, "found '%s' for '%s', expected a number from 0 to %lu", s->value,
                           s->row->name, max);
    *ret = (unsigned long)number;
    return 0;
}

int setting_bool(struct import *im, const struct setting *s, const char *yes, const char *no, bool fallback,
                 bool *ret)
{
    *ret = fallback;
    if (s == NULL)
        return 0;
    *ret = strcasecmp(s->value, yes) == 0;
    return *ret || strcasecmp(s->value, no) == 0
               ? 0
               : import_fail(im, s->at, "found '%s' for '%s', expected %s or %s", s->value, s->row->name, yes,
                             no);
}
