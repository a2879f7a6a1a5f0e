/* SPDX-License-Identifier: Apache-2.0 */
/* Building the table. Rules are added one after the other; each adds itself to the sets of its names. Sets
 * are nodes of a tree while building: a node is its parent's rules and one more, so a million names that
 * share their rules share one node. At the end every node in use is checked for ties and written out as an
 * array. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "route/route.h"
#include "route/table.h"

#define BUILDER_MAGIC 0xb01de700u

/* Node 0 is the empty set. Rules are added in order, so only the child made for the latest rule is ever asked
 * for. */
struct set_node {
    uint32_t parent;
    uint32_t rule;
    uint32_t size;
    uint32_t child; /* 0: none */
    uint32_t place; /* in the table's `sets`, once written out; 0: not yet */
};

struct route_builder {
    uint32_t magic;
    struct route_table *table; /* its sets are numbers of nodes until route_builder_finish() */
    struct names exact;        /* the names, with numbers of nodes for values */
    struct names wild;
    struct set_node *nodes;
    uint32_t node_count;
    uint32_t node_cap;
};

/* The array with room for one more element (it doubles), or NULL when memory is out and it stays as it is. */
static void *grow(void *array, uint32_t count, uint32_t *cap, size_t size)
{
    CHECK(count <= *cap);
    if (count < *cap)
        return array;
    uint32_t more = MAX(*cap * 2, (uint32_t)8);
    void *p = more > *cap ? reallocarray(array, more, size) : NULL;
    if (p != NULL)
        *cap = more;
    return p;
}

struct route_builder *route_builder_new(const struct hash_key *key)
{
    struct route_builder *b = calloc(1, sizeof(*b));
    struct route_table *t = calloc(1, sizeof(*t));
    struct set_node *empty = calloc(1, sizeof(*empty));
    if (b == NULL || t == NULL || empty == NULL) {
        free(b);
        free(t);
        free(empty);
        return NULL;
    }
    *b = (struct route_builder){BUILDER_MAGIC, .table = t, .nodes = empty, .node_count = 1, .node_cap = 1};
    t->magic = ROUTE_TABLE_MAGIC;
    names_init(&b->exact, key);
    names_init(&b->wild, key);
    return b;
}

void route_builder_free(struct route_builder *b)
{
    if (b == NULL)
        return;
    CHECK_MAGIC(b, BUILDER_MAGIC);
    route_table_free(b->table);
    names_free(&b->exact);
    names_free(&b->wild);
    free(b->nodes);
    b->magic = 0;
    free(b);
}

/* The set with one more rule, the latest. A set that has it already stays what it is. */
static bool set_extend(struct route_builder *b, uint32_t *set)
{
    CHECK(*set < b->node_count && b->table->rule_count > 0);
    uint32_t rule = b->table->rule_count - 1;
    const struct set_node *from = b->nodes + *set;
    if (*set != 0 && from->rule == rule)
        return true;
    if (from->child == 0 || b->nodes[from->child].rule != rule) {
        struct set_node *nodes = grow(b->nodes, b->node_count, &b->node_cap, sizeof(*nodes));
        if (nodes == NULL)
            return false;
        b->nodes = nodes;
        uint32_t size = b->nodes[*set].size + 1;
        b->nodes[b->node_count] = (struct set_node){.parent = *set, .rule = rule, .size = size};
        b->nodes[*set].child = b->node_count++;
    }
    *set = b->nodes[*set].child;
    return true;
}

static int add_key(struct route_builder *b, enum name_kind kind, const char *name, size_t len,
                   struct err *err)
{
    struct route_table *t = b->table;
    struct rule *r = t->rules + t->rule_count - 1;
    struct name_slot *s = names_put(kind == NAME_EXACT ? &b->exact : &b->wild, kind, name, len);
    if (s == NULL)
        return err_set(err, "out of memory for server names (%u are in)", b->exact.count);
    uint32_t before = s->value;
    if (!set_extend(b, &s->value))
        return err_set(err, "out of memory for the rules of server names");
    if (kind == NAME_EXACT && s->value != before && r->exact_count++ == 0) {
        r->example = strndup(name, len);
        if (r->example == NULL)
            return err_set(err, "out of memory");
    }
    r->patterns++;
    return 0;
}

/* One entry of a rule's `sni`. */
static int add_pattern(struct route_builder *b, const char *text, struct err *err)
{
    struct route_table *t = b->table;
    enum name_kind kind = strncmp(text, "**.", 3) == 0  ? NAME_MANY
                          : strncmp(text, "*.", 2) == 0 ? NAME_ONE
                                                        : NAME_EXACT;
    const char *rest = kind == NAME_EXACT ? text : text + kind + 1;
    if (strcmp(text, "none") == 0) {
        t->rules[t->rule_count - 1].patterns++;
        return set_extend(b, &t->none) ? 0 : err_set(err, "out of memory");
    }
    if (strchr(rest, '*') != NULL)
        return err_set(err,
                       "\"%.80s\" has a '*' where none can be: expected a name, \"*.NAME\" (one label), "
                       "\"**.NAME\" (one or more) or \"none\"; for any name leave the list out",
                       text);
    char name[NAME_MAX_LEN + 1];
    size_t len;
    if (name_clean(rest, strlen(rest), name, &len, err) != 0)
        return -1;
    if (kind != NAME_EXACT) {
        uint8_t starts[NAME_MAX_LABELS];
        size_t labels = name_labels(name, len, starts);
        CHECK(labels > 0);
        struct depths *d = kind == NAME_ONE ? &t->one : &t->many;
        d->bits[labels / 64] |= UINT64_C(1) << (labels % 64);
    }
    return add_key(b, kind, name, len, err);
}

static int add_alpn(struct route_table *t, struct rule *r, const char *text, struct err *err)
{
    size_t len = strlen(text);
    bool prefix = len > 0 && text[len - 1] == '*';
    len -= prefix ? 1 : 0;
    if (memchr(text, '*', len) != NULL)
        return err_set(
            err, "ALPN \"%.80s\" has a '*' inside: expected a protocol, or a prefix with '*' at its end",
            text);
    if ((len == 0 && !prefix) || len > 255)
        return err_set(err, "ALPN \"%.80s\" has %zu bytes: expected 1 to 255 (RFC 7301, 3.1)", text, len);
    struct alpn_entry *all = grow(t->alpn, t->alpn_count, &t->alpn_cap, sizeof(*all));
    if (all == NULL)
        return err_set(err, "out of memory");
    t->alpn = all;
    t->alpn[t->alpn_count] = (struct alpn_entry){(uint32_t)t->alpn_text.len, (uint8_t)len, prefix};
    if (!buf_append(&t->alpn_text, text, len))
        return err_set(err, "out of memory");
    t->alpn_count++;
    r->alpn_count++;
    return 0;
}

static int add_listeners(struct rule *r, const struct route_rule *from, struct err *err)
{
    for (size_t i = 0; i < from->listener_count; i++) {
        uint32_t l = from->listeners[i];
        if (l >= ROUTE_LISTENERS_MAX)
            return err_set(err, "listener number %u: there can be %d", l, ROUTE_LISTENERS_MAX);
        r->listeners[l / 64] |= UINT64_C(1) << (l % 64);
    }
    r->names_listener = from->listener_count > 0;
    return 0;
}

static int add_entries(struct route_builder *b, const struct route_rule *rule, struct err *err)
{
    struct route_table *t = b->table;
    struct rule *r = t->rules + t->rule_count - 1;
    if (add_listeners(r, rule, err) != 0)
        return -1;
    for (size_t i = 0; i < rule->alpn_count; i++)
        if (add_alpn(t, r, rule->alpn[i], err) != 0)
            return -1;
    if (rule->any_sni) {
        CHECK(rule->sni_count == 0);
        r->patterns++;
        if (!set_extend(b, &t->any))
            return err_set(err, "out of memory");
    }
    for (size_t i = 0; i < rule->sni_count; i++)
        if (add_pattern(b, rule->sni[i], err) != 0)
            return err_prefix(err, "sni");
    return 0;
}

int route_builder_add(struct route_builder *b, const struct route_rule *rule, struct err *err)
{
    CHECK_MAGIC(b, BUILDER_MAGIC);
    CHECK(rule->name != NULL && rule->kinds != 0 && rule->id != ROUTE_NONE);
    struct route_table *t = b->table;
    char *name = strdup(rule->name);
    struct rule *rules = grow(t->rules, t->rule_count, &t->rule_cap, sizeof(*rules));
    if (rules != NULL)
        t->rules = rules;
    if (name == NULL || rules == NULL) {
        free(name);
        return err_set(err, "out of memory");
    }
    t->rules[t->rule_count++] =
        (struct rule){.name = name, .id = rule->id, .kinds = rule->kinds, .alpn_first = t->alpn_count};
    if (add_entries(b, rule, err) != 0)
        return err_prefix(err, "route %s", rule->name);
    return 0;
}

/* One line of a names file, without its line feed. */
static int add_line(struct route_builder *b, const char *p, size_t len, struct err *err)
{
    const char *hash = memchr(p, '#', len);
    const char *end = hash != NULL ? hash : p + len;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (p < end && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    if (p == end)
        return 0;
    if (*p == '*')
        return err_set(err, "\"%.*s\": expected an exact name (patterns go into sni)", (int)MIN(end - p, 80),
                       p);
    char name[NAME_MAX_LEN + 1];
    if (name_clean(p, (size_t)(end - p), name, &len, err) != 0)
        return -1;
    return add_key(b, NAME_EXACT, name, len, err);
}

int route_builder_names(struct route_builder *b, const char *text, size_t len, struct err *err)
{
    CHECK_MAGIC(b, BUILDER_MAGIC);
    CHECK(b->table->rule_count > 0);
    if (len == 0)
        return 0;
    const char *end = text + len;
    for (size_t line = 1; text < end; line++) {
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        const char *stop = feed != NULL ? feed : end;
        if (add_line(b, text, (size_t)(stop - text), err) != 0)
            return err_prefix(err, "line %zu", line);
        text = feed != NULL ? feed + 1 : end;
    }
    return 0;
}

static bool same_alpn(const struct route_table *t, const struct alpn_entry *a, const struct alpn_entry *b)
{
    return a->prefix == b->prefix && a->len == b->len &&
           (a->len == 0 || memcmp(t->alpn_text.data + a->offset, t->alpn_text.data + b->offset, a->len) == 0);
}

/* Can one client list give both rules the same rank? Only by an entry that both have: the earliest exact
 * match is one protocol, and so is the one with the longest prefix. */
static bool alpn_ties(const struct route_table *t, const struct rule *a, const struct rule *b,
                      const struct alpn_entry **ret_entry)
{
    *ret_entry = NULL;
    if (a->alpn_count == 0 || b->alpn_count == 0)
        return a->alpn_count == b->alpn_count;
    for (uint32_t i = 0; i < a->alpn_count; i++)
        for (uint32_t k = 0; k < b->alpn_count; k++)
            if (same_alpn(t, t->alpn + a->alpn_first + i, t->alpn + b->alpn_first + k)) {
                *ret_entry = t->alpn + a->alpn_first + i;
                return true;
            }
    return false;
}

static bool listeners_tie(const struct rule *a, const struct rule *b)
{
    if (!a->names_listener || !b->names_listener)
        return a->names_listener == b->names_listener;
    for (size_t i = 0; i < ARRAY_LEN(a->listeners); i++)
        if ((a->listeners[i] & b->listeners[i]) != 0)
            return true;
    return false;
}

/* Where a set of rules was met, for the error text. */
struct met_at {
    const char *prefix; /* "*." and the like */
    const char *name;
    size_t len;
};

static int check_pair(const struct route_table *t, const struct rule *a, const struct rule *b,
                      const struct met_at *at, struct err *err)
{
    const struct alpn_entry *e;
    /* Cheap reasons first: a set may have thousands of rules. */
    if (a->id == b->id || (a->kinds & b->kinds) == 0 || !listeners_tie(a, b) || !alpn_ties(t, a, b, &e))
        return 0;
    const char *alpn = e != NULL ? (const char *)t->alpn_text.data + e->offset : "any";
    return err_set(
        err,
        "routes %s and %s both take server name %s%.*s with ALPN %.*s%s on the same listeners, and "
        "neither is more specific: give one of them other names, another ALPN or listeners",
        a->name, b->name, at->prefix, (int)at->len, at->name, e != NULL ? (int)e->len : 3, alpn,
        e != NULL && e->prefix ? "*" : "");
}

static int check_set(const struct route_table *t, const uint32_t *members, uint32_t count,
                     const struct met_at *at, struct err *err)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = i + 1; k < count; k++) {
            CHECK(members[i] < members[k] && members[k] < t->rule_count);
            if (check_pair(t, t->rules + members[i], t->rules + members[k], at, err) != 0)
                return -1;
        }
    return 0;
}

/* Replace a node's number by the place of its array, which is checked and written when it is first met. */
static int write_set(struct route_builder *b, uint32_t *set, const struct met_at *at, struct err *err)
{
    CHECK(*set < b->node_count);
    struct route_table *t = b->table;
    struct set_node *node = b->nodes + *set;
    if (*set == 0)
        return 0;
    if (node->place == 0) {
        size_t need = t->sets_len + node->size + 1;
        if (need > t->sets_cap) {
            uint32_t *sets = reallocarray(t->sets, need + need / 2, sizeof(*sets));
            if (sets == NULL || need > UINT32_MAX)
                return err_set(err, "out of memory");
            t->sets = sets;
            t->sets_cap = need + need / 2;
        }
        uint32_t *members = t->sets + t->sets_len + 1;
        members[-1] = node->size;
        uint32_t left = node->size;
        for (const struct set_node *n = node; left > 0; n = b->nodes + n->parent)
            members[--left] = n->rule;
        node->place = (uint32_t)t->sets_len;
        t->sets_len = need;
        if (check_set(t, members, node->size, at, err) != 0)
            return -1;
    }
    *set = node->place;
    return 0;
}

static int write_sets_of(struct route_builder *b, struct names *n, struct err *err)
{
    static const char *const prefixes[] = {[NAME_EXACT] = "", [NAME_ONE] = "*.", [NAME_MANY] = "**."};
    for (uint32_t i = 0; i < n->slot_count; i++) {
        struct name_slot *s = n->slots + i;
        if (s->value == 0)
            continue;
        struct met_at at;
        at.prefix = prefixes[names_text(n, s->offset, &at.name, &at.len)];
        if (write_set(b, &s->value, &at, err) != 0)
            return -1;
    }
    return 0;
}

static int finish(struct route_builder *b, struct err *err)
{
    struct route_table *t = b->table;
    for (uint32_t i = 0; i < t->rule_count; i++)
        if (t->rules[i].patterns == 0)
            return err_set(
                err,
                "route %s has an empty list of server names, so nothing would ever take it: add a name, "
                "or leave sni and sni_file out for any",
                t->rules[i].name);
    /* Place 0: the empty set. */
    t->sets = calloc(1, sizeof(*t->sets));
    if (t->sets == NULL)
        return err_set(err, "out of memory");
    t->sets_len = t->sets_cap = 1;
    const struct met_at none = {"", "none", 4}, any = {"", "any", 3};
    if (write_set(b, &t->none, &none, err) != 0 || write_set(b, &t->any, &any, err) != 0)
        return -1;
    if (write_sets_of(b, &b->exact, err) != 0 || write_sets_of(b, &b->wild, err) != 0)
        return -1;
    if (!index_build(&t->wild, &b->wild))
        return err_set(err, "out of memory for %u patterns of server names", b->wild.count);
    return digests_build(&t->exact, &b->exact, err);
}

struct route_table *route_builder_finish(struct route_builder *b, struct err *err)
{
    CHECK_MAGIC(b, BUILDER_MAGIC);
    struct route_table *t = NULL;
    if (finish(b, err) == 0) {
        t = b->table;
        b->table = NULL;
    }
    route_builder_free(b);
    return t;
}
