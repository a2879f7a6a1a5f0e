/* SPDX-License-Identifier: Apache-2.0 */
#include "import/libconfig.h"

#include <ctype.h>
#include <string.h>

#include "import/scan.h"

#define DEPTH_MAX 16

static int take_value(struct scan *s, struct libconfig_value *v, unsigned depth);

const char *libconfig_kind(enum libconfig_kind kind)
{
    static const char *const names[] = {"a single value", "an array", "a list", "a group"};
    return names[kind];
}

static struct libconfig_value *append(struct scan *s, struct libconfig_value *parent)
{
    struct libconfig_value *v = pool_alloc(&s->im->pool, sizeof(*v));
    v->at = s->where;
    v->comments = outline_new(&s->im->pool);
    remember_put(&s->comments, v->comments);
    *(parent->last != NULL ? &parent->last->next : &parent->first) = v;
    parent->last = v;
    return v;
}

static int take_scalar(struct scan *s, struct libconfig_value *v)
{
    v->kind = LIBCONFIG_SCALAR;
    v->text = s->text;
    if (s->kind == SCAN_WORD)
        return scan_next(s);
    if (s->kind != SCAN_STRING)
        return scan_expected(s, "a value");
    if (scan_next(s) < 0)
        return -1;
    while (s->kind == SCAN_STRING) { /* as in C, strings side by side are one */
        v->text = pool_printf(&s->im->pool, "%s%s", v->text, s->text);
        if (scan_next(s) < 0)
            return -1;
    }
    return 0;
}

/* Values apart by ',' up to `close`. */
static int take_items(struct scan *s, struct libconfig_value *v, char close, unsigned depth)
{
    if (scan_next(s) < 0)
        return -1;
    while (!scan_is(s, close)) {
        struct libconfig_value *item = append(s, v);
        if (take_value(s, item, depth) < 0)
            return -1;
        if (v->kind == LIBCONFIG_ARRAY && item->kind != LIBCONFIG_SCALAR)
            return import_fail(s->im, item->at, "found %s in an array, expected a single value",
                               libconfig_kind(item->kind));
        if (!scan_is(s, close) && scan_take(s, ',') < 0)
            return -1;
    }
    return scan_next(s);
}

static const struct libconfig_value *named(const struct libconfig_value *group, const char *name)
{
    for (const struct libconfig_value *v = group->first; v != NULL; v = v->next)
        if (v->name != NULL && strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static int take_setting(struct scan *s, struct libconfig_value *group, unsigned depth)
{
    if (s->kind == SCAN_SIGN && *s->text == '@')
        return import_fail(s->im, s->where,
                           "found '@', expected a setting: put what is included into this file");
    if (s->kind != SCAN_WORD || (!isalpha((unsigned char)*s->text) && *s->text != '*'))
        return scan_expected(s, "the name of a setting");
    const struct libconfig_value *before = named(group, s->text);
    if (before != NULL)
        return import_fail(s->im, s->where, "found '%.40s' again, expected it once: see line %u", s->text,
                           before->at.line);
    struct libconfig_value *v = append(s, group);
    v->name = s->text;
    if (scan_next(s) < 0)
        return -1;
    if (!scan_is(s, ':') && !scan_is(s, '='))
        return scan_expected(s, "':' or '='");
    if (scan_next(s) < 0 || take_value(s, v, depth) < 0)
        return -1;
    return scan_is(s, ';') || scan_is(s, ',') ? scan_next(s) : 0;
}

static int take_group(struct scan *s, struct libconfig_value *v, unsigned depth)
{
    v->kind = LIBCONFIG_GROUP;
    if (scan_next(s) < 0)
        return -1;
    while (!scan_is(s, '}'))
        if (take_setting(s, v, depth) < 0)
            return -1;
    return scan_next(s);
}

static int take_value(struct scan *s, struct libconfig_value *v, unsigned depth)
{
    if (depth == DEPTH_MAX)
        return import_fail(s->im, s->where, "found more than %d values within each other, expected fewer",
                           DEPTH_MAX);
    if (scan_is(s, '{'))
        return take_group(s, v, depth + 1);
    if (!scan_is(s, '[') && !scan_is(s, '('))
        return take_scalar(s, v);
    v->kind = scan_is(s, '[') ? LIBCONFIG_ARRAY : LIBCONFIG_LIST;
    return take_items(s, v, v->kind == LIBCONFIG_ARRAY ? ']' : ')', depth + 1);
}

struct libconfig_value *libconfig_parse(struct import *im, const char *file, const char *text, size_t len)
{
    struct scan s;
    struct libconfig_value *top = pool_alloc(&im->pool, sizeof(*top));
    *top = (struct libconfig_value){.kind = LIBCONFIG_GROUP, .at = {file, 1, 1}};
    int rc = scan_begin(&s, im, file, text, len, true);
    while (rc == 0 && s.kind != SCAN_END)
        rc = take_setting(&s, top, 0);
    return rc == 0 ? top : NULL;
}
