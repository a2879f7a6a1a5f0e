/* SPDX-License-Identifier: Apache-2.0 */
/* The language of hitch.conf(5): NAME = VALUE, where a value is a word, a string, or a block of more of them.
 */
#include <string.h>
#include <strings.h>

#include "import/hitch.h"
#include "import/scan.h"

static int take_block(struct hitch *h, struct scan *s, struct hitch_scope *scope, unsigned flags);

/* What comes now stands in which block, for errors. */
static const char *where(unsigned flags)
{
    return flags == HITCH_GLOBAL ? "at the top" : flags == HITCH_PEM ? "in a pem-file" : "in a frontend";
}

static int add_pem(struct hitch *h, struct scan *s, struct hitch_scope *scope, struct place at, bool block)
{
    struct hitch_pem *pem = pool_alloc(&h->im.pool, sizeof(*pem));
    struct hitch_scope inner = {0};
    if (block) {
        if (take_block(h, s, &inner, HITCH_PEM) < 0)
            return -1;
        pem->scope = inner.scope;
        pem->file = setting_find(&pem->scope, "cert");
        if (pem->file == NULL)
            return import_fail(&h->im, at,
                               "found a pem-file without 'cert', expected the file of a certificate");
    } else {
        pem->file = scope->scope.last;
    }
    *(scope->pems_last != NULL ? &scope->pems_last->next : &scope->pems) = pem;
    scope->pems_last = pem;
    return 0;
}

static int add_frontend(struct hitch *h, struct scan *s, struct remember *comments, bool block)
{
    struct hitch_frontend *f = pool_alloc(&h->im.pool, sizeof(*f));
    f->said = h->global.scope.last;
    f->remarks = outline_new(&h->im.pool);
    remember_put(comments, f->remarks);
    *(h->last != NULL ? &h->last->next : &h->first) = f;
    h->last = f;
    return block ? take_block(h, s, &f->own, HITCH_FRONTEND) : 0;
}

/* A word or a string; tls-protos has several words. */
static int take_value(struct hitch *h, struct scan *s, const char *name, const char **ret)
{
    if (s->kind != SCAN_WORD && s->kind != SCAN_STRING)
        return scan_expected(s, "a value");
    *ret = s->text;
    bool more = s->kind == SCAN_WORD && strcmp(name, "tls-protos") == 0;
    if (scan_next(s) < 0)
        return -1;
    while (more && s->kind == SCAN_WORD &&
           (strncasecmp(s->text, "TLSv", 4) == 0 || strncasecmp(s->text, "SSLv", 4) == 0)) {
        *ret = pool_printf(&h->im.pool, "%s %s", *ret, s->text);
        if (scan_next(s) < 0)
            return -1;
    }
    return 0;
}

static int take_setting(struct hitch *h, struct scan *s, struct hitch_scope *scope, unsigned flags)
{
    struct place at = s->where;
    struct remember comments = s->comments;
    const char *name = s->text, *value = "";
    if (s->kind != SCAN_WORD)
        return scan_expected(s, "the name of an option");
    if (scan_next(s) < 0 || scan_take(s, '=') < 0)
        return -1;
    bool pem = strcmp(name, "pem-file") == 0, frontend = strcmp(name, "frontend") == 0;
    bool block = (pem || frontend) && scan_is(s, '{');
    if (!block && take_value(h, s, name, &value) < 0)
        return -1;
    if (!frontend)
        remember_put(&comments, scope == &h->global || h->last == NULL ? h->im.root : h->last->remarks);
    if (setting_add(&h->im, &scope->scope, flags, where(flags), at, name, value) < 0)
        return -1;
    if (pem)
        return add_pem(h, s, scope, at, block);
    return frontend ? add_frontend(h, s, &comments, block) : 0;
}

static int take_block(struct hitch *h, struct scan *s, struct hitch_scope *scope, unsigned flags)
{
    if (scan_take(s, '{') < 0)
        return -1;
    while (!scan_is(s, '}'))
        if (take_setting(h, s, scope, flags) < 0)
            return -1;
    return scan_take(s, '}');
}

int hitch_read(struct hitch *h, const char *path)
{
    struct buf text = {0};
    struct scan s;
    struct err why;
    if (h->im.files->read(h->im.files->arg, path, &text, &why) < 0)
        return err_set(h->im.err, "%s", why.text);
    int rc = scan_begin(&s, &h->im, path, (const char *)text.data, text.len, false);
    while (rc == 0 && s.kind != SCAN_END)
        rc = take_setting(h, &s, &h->global, HITCH_GLOBAL);
    buf_free(&text);
    return rc;
}
