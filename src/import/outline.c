/* SPDX-License-Identifier: Apache-2.0 */
#include "import/outline.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/str.h"
#include "base/utf8.h"

#define COMMENT_WIDTH 100

struct chunk {
    struct chunk *next;
    max_align_t data[];
};

struct remark {
    const char *text;
    struct remark *next;
};

/* Memory
 * ------------------------------------------------------------------------------------------------------- */

void *pool_alloc(struct pool *p, size_t size)
{
    struct chunk *c = calloc(1, sizeof(*c) + size);
    CHECK(c != NULL);
    c->next = p->chunks;
    p->chunks = c;
    return c->data;
}

const char *pool_copy(struct pool *p, const char *text, size_t len)
{
    char *copy = pool_alloc(p, len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

const char *pool_printf(struct pool *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(len >= 0);
    char *text = pool_alloc(p, (size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void pool_free(struct pool *p)
{
    while (p->chunks != NULL) {
        struct chunk *c = p->chunks;
        p->chunks = c->next;
        free(c);
    }
}

/* The tree
 * ------------------------------------------------------------------------------------------------------- */

static struct node *node_new(struct pool *p, int kind, const char *key)
{
    struct node *n = pool_alloc(p, sizeof(*n));
    n->kind = kind;
    n->key = key;
    n->pool = p;
    return n;
}

static struct node *append(struct node *parent, struct node *n)
{
    if (parent->last != NULL)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    return n;
}

struct node *outline_new(struct pool *p)
{
    return node_new(p, NODE_MAP, NULL);
}

struct node *outline_find(const struct node *map, const char *key)
{
    CHECK(map->kind == NODE_MAP);
    for (struct node *n = map->first; n != NULL; n = n->next)
        if (strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

static struct node *obtain(struct node *map, int kind, const char *key)
{
    struct node *n = outline_find(map, key);
    CHECK(n == NULL || n->kind == (unsigned)kind);
    return n != NULL ? n : append(map, node_new(map->pool, kind, key));
}

struct node *outline_map(struct node *map, const char *key)
{
    return obtain(map, NODE_MAP, key);
}

struct node *outline_list(struct node *map, const char *key)
{
    return obtain(map, NODE_LIST, key);
}

struct node *outline_item(struct node *list)
{
    CHECK(list->kind == NODE_LIST);
    return append(list, node_new(list->pool, NODE_MAP, NULL));
}

void outline_set(struct node *map, const char *key, const char *value)
{
    obtain(map, NODE_TEXT, key)->text = value;
}

void outline_flag(struct node *map, const char *key, bool value)
{
    struct node *n = obtain(map, NODE_TEXT, key);
    n->text = value ? "true" : "false";
    n->literal = true;
}

void outline_add(struct node *list, const char *value)
{
    CHECK(list->kind == NODE_LIST);
    for (const struct node *n = list->first; n != NULL; n = n->next)
        if (n->kind == NODE_TEXT && strcmp(n->text, value) == 0)
            return;
    append(list, node_new(list->pool, NODE_TEXT, NULL))->text = value;
}

const char *outline_get(const struct node *map, const char *key)
{
    const struct node *n = outline_find(map, key);
    return n == NULL ? NULL : n->text;
}

void outline_move_remarks(struct node *to, struct node *from)
{
    if (from->remarks == NULL)
        return;
    *(to->remarks_last != NULL ? &to->remarks_last->next : &to->remarks) = from->remarks;
    to->remarks_last = from->remarks_last;
    from->remarks = from->remarks_last = NULL;
}

void outline_remark(struct node *n, const char *text)
{
    size_t len = strlen(text);
    char *clean = pool_alloc(n->pool, len + 1);
    str_clean(clean, len + 1, text);
    for (size_t i = 0, step; clean[i] != '\0'; i += step)
        if ((step = utf8_length(clean + i, strlen(clean + i))) == 0)
            clean[i] = '?', step = 1;
    struct remark *r = pool_alloc(n->pool, sizeof(*r));
    r->text = clean;
    if (n->remarks_last != NULL)
        n->remarks_last->next = r;
    else
        n->remarks = r;
    n->remarks_last = r;
}

/* Printing
 * ------------------------------------------------------------------------------------------------------- */

/* Words that YAML takes for something else than text (YAML 1.1 readers are meant too). */
static bool reserved(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Is it the same text without quotes? Whole numbers are, as every key that takes them reads text. */
static bool plain(const char *text)
{
    bool digits = *text != '\0', word = isalpha((unsigned char)*text) || *text == '/';
    for (const char *p = text; *p != '\0'; p++) {
        digits = digits && isdigit((unsigned char)*p);
        word = word && (isalnum((unsigned char)*p) || strchr("/._-", *p) != NULL);
    }
    return digits || (word && !reserved(text));
}

/* Has it a value, or one within? */
static bool has_value(const struct node *n)
{
    if (n->kind == NODE_TEXT)
        return true;
    for (const struct node *child = n->first; child != NULL; child = child->next)
        if (has_value(child))
            return true;
    return false;
}

static void put_text(struct buf *out, const struct node *n)
{
    if (n->literal || plain(n->text))
        buf_append(out, n->text, strlen(n->text));
    else
        str_json(out, n->text, strlen(n->text));
}

static void put_indent(struct buf *out, size_t depth)
{
    buf_printf(out, "%*s", (int)(2 * depth), "");
}

/* One comment, broken between words. */
static void put_remark(struct buf *out, const char *text, size_t depth)
{
    size_t width = 0, lead = 2 * depth + 1;
    for (const char *word = text + strspn(text, " "); *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (width == 0 || width + 1 + len > COMMENT_WIDTH - lead) {
            buf_printf(out, "%s%*s#", width == 0 ? "" : "\n", (int)(2 * depth), "");
            width = lead;
        }
        buf_printf(out, " %.*s", (int)len, word);
        width += 1 + len;
        word += len + strspn(word + len, " ");
    }
    buf_printf(out, width > 0 ? "\n" : "");
}

static void put_remarks(struct buf *out, const struct node *n, size_t depth)
{
    for (const struct remark *r = n->remarks; r != NULL; r = r->next)
        put_remark(out, r->text, depth);
}

/* Everything that was said about what has no value. */
static void put_all_remarks(struct buf *out, const struct node *n, size_t depth)
{
    put_remarks(out, n, depth);
    for (const struct node *child = n->first; child != NULL; child = child->next)
        put_all_remarks(out, child, depth);
}

/* The first member that has a value, from `n` on. */
static const struct node *next_member(const struct node *n)
{
    while (n != NULL && !has_value(n))
        n = n->next;
    return n;
}

static void put_map(struct buf *out, const struct node *map, size_t depth, bool item);

static void put_flow(struct buf *out, const struct node *list)
{
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        buf_printf(out, n == list->first ? " [" : ", ");
        put_text(out, n);
    }
    buf_printf(out, "]\n");
}

static void put_list(struct buf *out, const struct node *list, size_t depth)
{
    if (list->first->kind == NODE_TEXT) {
        put_flow(out, list);
        return;
    }
    buf_printf(out, "\n");
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        if (!has_value(n)) {
            put_all_remarks(out, n, depth);
            continue;
        }
        put_remarks(out, n, depth);
        put_remarks(out, next_member(n->first), depth);
        put_indent(out, depth);
        buf_printf(out, "- ");
        put_map(out, n, depth + 1, true);
    }
}

static void put_member(struct buf *out, const struct node *n, size_t depth)
{
    buf_printf(out, "%s:", n->key);
    if (n->kind == NODE_TEXT) {
        buf_printf(out, " ");
        put_text(out, n);
        buf_printf(out, "\n");
    } else if (n->kind == NODE_LIST) {
        put_list(out, n, depth + 1);
    } else {
        buf_printf(out, "\n");
        put_map(out, n, depth + 1, false);
    }
}

/* `item`: the dash of a list stands before the first key, and what was said about that before the dash. */
static void put_map(struct buf *out, const struct node *map, size_t depth, bool item)
{
    bool led = item;
    for (const struct node *n = map->first; n != NULL; n = n->next) {
        if (!has_value(n)) {
            put_all_remarks(out, n, depth);
            continue;
        }
        if (!led) {
            put_remarks(out, n, depth);
            put_indent(out, depth);
        }
        put_member(out, n, depth);
        led = false;
    }
}

void outline_print(struct buf *out, const struct node *root)
{
    put_remarks(out, root, 0);
    put_map(out, root, 0, false);
}
