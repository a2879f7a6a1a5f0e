/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

/* What a list field looks like, whatever its items are. */
struct any_list {
    void *v;
    size_t n;
};

static int complain(struct schema_reader *rd, struct config_pos at, const char *text)
{
    return report_add(rd->report, at, "%s%s%s", rd->path, *rd->path == '\0' ? "" : ": ", text);
}

static int no_memory(struct schema_reader *rd)
{
    return complain(rd, (struct config_pos){0, 0}, "out of memory");
}

/* Go one step down in the key path; returns what path_leave() goes back to. */
static size_t path_enter(struct schema_reader *rd, const char *key)
{
    size_t was = strlen(rd->path);
    snprintf(rd->path + was, sizeof(rd->path) - was, "%s%s", was > 0 ? "." : "", key);
    return was;
}

static size_t path_enter_item(struct schema_reader *rd, size_t index)
{
    size_t was = strlen(rd->path);
    snprintf(rd->path + was, sizeof(rd->path) - was, "[%zu]", index);
    return was;
}

static void path_leave(struct schema_reader *rd, size_t was)
{
    CHECK(was < sizeof(rd->path));
    rd->path[was] = '\0';
}

static void *field_of(const struct schema_key *key, void *section)
{
    return (unsigned char *)section + key->offset;
}

static struct config_head *head_of(void *section)
{
    return section;
}

/* The keys with these flags: "a, b or c", with `last` before the last. */
static void join_names(const struct schema *schema, unsigned flags, const char *last, char *ret, size_t cap)
{
    size_t n = 0, count = 0, done = 0;
    for (const struct schema_key *k = schema->keys; k->name != NULL; k++)
        count += (k->flags & flags) == flags;
    ret[0] = '\0';
    for (const struct schema_key *k = schema->keys; k->name != NULL && n < cap; k++) {
        if ((k->flags & flags) != flags)
            continue;
        done++;
        n += (size_t)snprintf(ret + n, cap - n, "%s%s",
                              done == 1       ? ""
                              : done == count ? last
                                              : ", ",
                              k->name);
    }
}

static void digest(struct schema_reader *rd, const void *bytes, size_t len)
{
    const struct hash_key so_far = {rd->content, len};
    rd->content = hash_bytes(&so_far, bytes, len);
}

/* Scalars */

static int read_text(struct schema_reader *rd, const struct schema_key *key, const char *text,
                     struct config_pos at, void *ret)
{
    struct schema_value value = {rd->store, rd->dir, key, text, at};
    struct err err;
    digest(rd, key->name, strlen(key->name));
    digest(rd, text, strlen(text));
    if (key->type->read(&value, ret, &err) < 0)
        return complain(rd, at, err.text);
    return 0;
}

static int read_scalar(struct schema_reader *rd, const struct schema_key *key, const struct yaml_node *node,
                       void *ret)
{
    char text[160], quoted[QUOTE_MAX];
    if (node->kind == YAML_SCALAR && !node->empty)
        return read_text(rd, key, node->text, node->at, ret);
    snprintf(text, sizeof(text), "found %s, expected one value (%s)", yaml_describe(node, quoted),
             key->type->name);
    return complain(rd, node->at, text);
}

static int read_default(struct schema_reader *rd, const struct schema_key *key, void *field)
{
    struct config_pos nowhere = {0, 0};
    if (!key->list)
        return read_text(rd, key, key->fallback, nowhere, field);
    /* The items stand apart by one space each. */
    struct any_list list = {NULL, 1};
    for (const char *p = key->fallback; *p != '\0'; p++)
        list.n += *p == ' ';
    list.v = store_alloc(rd->store, list.n, key->type->size);
    const char *p = key->fallback;
    for (size_t i = 0; i < list.n; i++, p++) {
        size_t len = strcspn(p, " ");
        const char *item = store_text(rd->store, p, len);
        if (list.v == NULL || item == NULL)
            return no_memory(rd);
        if (read_text(rd, key, item, nowhere, (unsigned char *)list.v + i * key->type->size) < 0)
            return -1;
        p += len;
    }
    memcpy(field, &list, sizeof(list));
    return 0;
}

/* Sections and lists */

/* `tunnel:` with nothing behind it is an empty section. */
static int read_section(struct schema_reader *rd, const struct schema *schema, const struct yaml_node *node,
                        void *ret)
{
    static const struct yaml_node none = {.kind = YAML_SECTION};
    char names[512], text[640], quoted[QUOTE_MAX];
    if (node->kind == YAML_SECTION)
        return schema_read(rd, schema, node, ret);
    if (node->kind == YAML_SCALAR && node->empty) {
        struct yaml_node empty = none;
        empty.at = node->at;
        return schema_read(rd, schema, &empty, ret);
    }
    join_names(schema, 0, ", ", names, sizeof(names));
    snprintf(text, sizeof(text), "found %s, expected a section%s%s%s", yaml_describe(node, quoted),
             *names == '\0' ? ": {}" : " (keys here: ", names, *names == '\0' ? "" : ")");
    return complain(rd, node->at, text);
}

static int read_item(struct schema_reader *rd, const struct schema_key *key, const struct yaml_node *node,
                     void *ret)
{
    return key->section != NULL ? read_section(rd, key->section, node, ret) : read_scalar(rd, key, node, ret);
}

/* A list that says nothing would mean "any" in some places: leave no doubt. */
static int check_list(struct schema_reader *rd, const struct schema_key *key, const struct yaml_node *node)
{
    char text[160], quoted[QUOTE_MAX];
    bool must = key->section == NULL || (key->flags & SCHEMA_REQUIRED) != 0;
    if (node->kind == YAML_LIST && (node->n > 0 || !must))
        return 0;
    if (node->kind == YAML_LIST)
        return complain(rd, node->at,
                        (key->flags & SCHEMA_REQUIRED) != 0 ? "an empty list; it needs at least one entry"
                                                            : "an empty list; leave the key out, or fill it");
    snprintf(text, sizeof(text), "found %s, expected a list; begin each entry with '- '",
             yaml_describe(node, quoted));
    return complain(rd, node->at, text);
}

static int read_list(struct schema_reader *rd, const struct schema_key *key, const struct yaml_node *node,
                     void *field)
{
    size_t size = key->section != NULL ? key->section->size : key->type->size;
    bool lone = key->section == NULL && node->kind == YAML_SCALAR;
    if (!lone && check_list(rd, key, node) < 0)
        return -1;
    struct any_list list = {NULL, lone ? 1 : node->n};
    list.v = store_alloc(rd->store, list.n, size);
    if (list.v == NULL)
        return no_memory(rd);
    int r = 0;
    unsigned char *item = list.v;
    if (lone) {
        r = read_scalar(rd, key, node, item);
    } else {
        size_t i = 0;
        for (const struct yaml_node *c = node->first; c != NULL; c = c->next, i++, item += size) {
            CHECK(i < list.n);
            size_t was = path_enter_item(rd, i);
            r |= read_item(rd, key, c, item);
            path_leave(rd, was);
        }
    }
    memcpy(field, &list, sizeof(list));
    return r;
}

static int read_key(struct schema_reader *rd, const struct schema_key *key, const struct yaml_node *node,
                    void *field)
{
    if (key->list)
        return read_list(rd, key, node, field);
    if (key->section == NULL)
        return read_scalar(rd, key, node, field);
    if (key->embedded)
        return read_section(rd, key->section, node, field);
    void *section = store_alloc(rd->store, 1, key->section->size);
    if (section == NULL)
        return no_memory(rd);
    memcpy(field, &section, sizeof(section));
    return read_section(rd, key->section, node, section);
}

/* A key that the file does not have. */
static int complete_key(struct schema_reader *rd, const struct schema_key *key, struct config_pos at,
                        void *field)
{
    char text[256];
    if ((key->flags & SCHEMA_REQUIRED) != 0) {
        snprintf(text, sizeof(text), "this key is required and missing (%s)", key->help);
        return complain(rd, at, text);
    }
    if (key->fallback != NULL)
        return read_default(rd, key, field);
    /* A section with keys of which some are required can only be left out as a whole. */
    if (key->section == NULL || !key->embedded)
        return 0;
    int r = 0;
    for (const struct schema_key *k = key->section->keys; k->name != NULL; k++) {
        if ((k->flags & SCHEMA_REQUIRED) != 0)
            continue;
        size_t was = path_enter(rd, k->name);
        r |= complete_key(rd, k, at, field_of(k, field));
        path_leave(rd, was);
    }
    return r;
}

/* Keys and their rows */

static const struct schema_key *find_key(const struct schema *schema, const char *name)
{
    for (const struct schema_key *k = schema->keys; k->name != NULL; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static int unknown_key(struct schema_reader *rd, const struct schema *schema, const struct yaml_node *node)
{
    char names[512], hint[STR_HINT_MAX], text[768], shown[QUOTE_MAX];
    const char *list[YAML_KEYS_MAX + 1] = {NULL};
    size_t n = 0;
    for (const struct schema_key *k = schema->keys; k->name != NULL && n < YAML_KEYS_MAX; k++)
        list[n++] = k->name;
    join_names(schema, 0, ", ", names, sizeof(names));
    size_t end = (size_t)snprintf(text, sizeof(text), "unknown key%s", str_hint(node->key, list, hint));
    if (n == 0)
        snprintf(text + end, sizeof(text) - end, "; this section has no keys: {}");
    else
        snprintf(text + end, sizeof(text) - end, " (keys here: %s)", names);
    size_t was = path_enter(rd, report_key(shown, node->key));
    int r = complain(rd, node->key_at, text);
    path_leave(rd, was);
    return r;
}

static int check_choice(struct schema_reader *rd, const struct schema *schema, const struct config_head *head)
{
    unsigned given = 0, rows = 0, i = 0;
    for (const struct schema_key *k = schema->keys; k->name != NULL; k++, i++) {
        rows += (k->flags & SCHEMA_CHOICE) != 0;
        given += (k->flags & SCHEMA_CHOICE) != 0 && (head->set >> i & 1) != 0;
    }
    if (rows == 0 || given == 1)
        return 0;
    char names[128], text[256];
    join_names(schema, SCHEMA_CHOICE, " or ", names, sizeof(names));
    snprintf(text, sizeof(text), "%s of %s; it has to have exactly one",
             given == 0 ? "has none" : "has several", names);
    return complain(rd, head->at, text);
}

int schema_read(struct schema_reader *rd, const struct schema *schema, const struct yaml_node *section,
                void *ret)
{
    struct config_head *head = head_of(ret);
    const uint64_t around = rd->content;
    rd->content = 0;
    CHECK(section->kind == YAML_SECTION && head->set == 0);
    head->at = section->at;
    int r = 0;
    for (const struct yaml_node *c = section->first; c != NULL; c = c->next)
        if (find_key(schema, c->key) == NULL)
            r |= unknown_key(rd, schema, c);
    unsigned i = 0;
    for (const struct schema_key *k = schema->keys; k->name != NULL; k++, i++) {
        CHECK(i < 64 && k->offset + k->size <= schema->size);
        CHECK(k->list || k->section != NULL || k->size == k->type->size);
        const struct yaml_node *c = yaml_child(section, k->name);
        size_t was = path_enter(rd, k->name);
        if (c != NULL) {
            head->set |= UINT64_C(1) << i;
            r |= read_key(rd, k, c, field_of(k, ret));
        } else {
            r |= complete_key(rd, k, section->at, field_of(k, ret));
        }
        path_leave(rd, was);
    }
    r |= check_choice(rd, schema, head);
    head->wrong = r != 0;
    head->content = rd->content;
    rd->content = around;
    digest(rd, &head->content, sizeof(head->content));
    return r;
}

bool schema_given(const struct schema *schema, const void *section, const char *key)
{
    const struct schema_key *k = find_key(schema, key);
    CHECK(k != NULL);
    const struct config_head *head = section;
    return (head->set >> (k - schema->keys) & 1) != 0;
}

void schema_inherit(const struct schema *schema, void *section, const struct schema *from_schema,
                    const void *from)
{
    for (const struct schema_key *k = schema->keys; k->name != NULL; k++) {
        if ((k->flags & SCHEMA_INHERIT) == 0 || schema_given(schema, section, k->name))
            continue;
        const struct schema_key *source = find_key(from_schema, k->name);
        CHECK(source != NULL && source->type == k->type && source->size == k->size);
        memcpy(field_of(k, section), (const unsigned char *)from + source->offset, k->size);
    }
}
