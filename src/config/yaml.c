/* SPDX-License-Identifier: Apache-2.0 */
#include "config/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/utf8.h"

/* A section or list that is still open. */
struct frame {
    struct yaml_node *node;
    struct yaml_node *last; /* its newest child */
    const char *key;        /* read, and waiting for its value */
    struct config_pos key_at;
};

struct reader {
    struct report *report;
    struct config_store *store;
    struct frame frames[YAML_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    unsigned documents;
    struct yaml_node *root;
    struct buf text; /* of the scalar at hand */
};

static struct config_pos pos_of(const struct fy_mark *mark)
{
    if (mark == NULL)
        return (struct config_pos){0, 0};
    return (struct config_pos){(uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

/* libfyaml's mark of a quoted text, an alias or an anchor is behind the character that begins it. */
static struct config_pos before(struct config_pos at)
{
    if (at.column > 1)
        at.column--;
    return at;
}

static struct config_pos scalar_pos(struct fy_event *e)
{
    struct config_pos at = pos_of(fy_event_start_mark(e));
    enum fy_scalar_style style =
        e->scalar.value == NULL ? FYSS_PLAIN : fy_token_scalar_style(e->scalar.value);
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED ? before(at) : at;
}

static int no_memory(struct reader *rd)
{
    return report_add(rd->report, (struct config_pos){0, 0}, "out of memory");
}

static struct yaml_node *node_new(struct reader *rd, enum yaml_kind kind, struct config_pos at)
{
    if (++rd->nodes > YAML_NODES_MAX) {
        report_add(rd->report, at, "more than %d values: put long lists of names into a file (sni_file)",
                   YAML_NODES_MAX);
        return NULL;
    }
    struct yaml_node *node = store_alloc(rd->store, 1, sizeof(*node));
    if (node == NULL) {
        no_memory(rd);
        return NULL;
    }
    node->kind = kind;
    node->at = at;
    return node;
}

/* Hang a node under what is open. A value that is not there at all has no mark: it stands where its key does.
 */
static void attach(struct reader *rd, struct yaml_node *node)
{
    if (rd->depth == 0) {
        CHECK(rd->root == NULL);
        rd->root = node;
        return;
    }
    struct frame *f = &rd->frames[rd->depth - 1];
    node->key = f->key;
    node->key_at = f->key_at;
    if (node->at.line == 0)
        node->at = f->key != NULL ? f->key_at : f->node->at;
    f->key = NULL;
    *(f->last == NULL ? &f->node->first : &f->last->next) = node;
    f->last = node;
    f->node->n++;
}

const struct yaml_node *yaml_child(const struct yaml_node *section, const char *key)
{
    CHECK(section->kind == YAML_SECTION);
    for (const struct yaml_node *c = section->first; c != NULL; c = c->next)
        if (strcmp(c->key, key) == 0)
            return c;
    return NULL;
}

/* True when the next event is a key and not a value. */
static bool wants_key(const struct reader *rd)
{
    if (rd->depth == 0)
        return false;
    const struct frame *f = &rd->frames[rd->depth - 1];
    return f->node->kind == YAML_SECTION && f->key == NULL;
}

/* Write "routes[2].", the place of what is open. */
static void path_of(const struct reader *rd, char *ret, size_t cap)
{
    char shown[QUOTE_MAX];
    size_t n = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < rd->depth && n < cap; i++) {
        const struct yaml_node *node = rd->frames[i].node;
        if (node->key != NULL)
            n += (size_t)snprintf(ret + n, cap - n, "%s.", report_key(shown, node->key));
        else if (i > 0)
            n += (size_t)snprintf(ret + n, cap - n, "[%zu].", rd->frames[i - 1].node->n - 1);
        /* The index of a list goes before the dot. */
        if (n > 0 && n < cap && node->kind == YAML_LIST)
            ret[--n] = '\0';
    }
}

static int read_key(struct reader *rd, const char *key, struct config_pos at)
{
    struct frame *f = &rd->frames[rd->depth - 1];
    char path[128], shown[QUOTE_MAX];
    const struct yaml_node *same = yaml_child(f->node, key);
    if (same != NULL) {
        path_of(rd, path, sizeof(path));
        return report_add(rd->report, at, "%skey '%s' is here twice; it stands on line %u already", path,
                          report_key(shown, key), same->key_at.line);
    }
    if (f->node->n >= YAML_KEYS_MAX)
        return report_add(rd->report, at, "more than %d keys in one section", YAML_KEYS_MAX);
    f->key = key;
    f->key_at = at.line != 0 ? at : f->node->at;
    return 0;
}

/* Plain text that YAML takes for "no value" (YAML 1.2, 10.2.1.1). */
static bool is_null(struct fy_event *e, const char *text)
{
    if (e->scalar.value != NULL && fy_token_scalar_style(e->scalar.value) != FYSS_PLAIN)
        return false;
    return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* The text of a scalar, escapes resolved, in rd->text. By the iterator and not fy_token_get_text(): that one
 * leaks (in 0.7.12) when it has to put a text together from many pieces. */
static bool collect_text(struct reader *rd, struct fy_token *token)
{
    rd->text.len = 0;
    if (token == NULL)
        return buf_reserve(&rd->text, 1);
    struct fy_token_iter *iter = fy_token_iter_create(token);
    if (iter == NULL)
        return false;
    int error = 0;
    bool ok = buf_reserve(&rd->text, 1);
    const struct fy_iter_chunk *chunk = NULL;
    while (ok && (chunk = fy_token_iter_chunk_next(iter, chunk, &error)) != NULL)
        ok = buf_append(&rd->text, chunk->str, chunk->len);
    fy_token_iter_finish(iter);
    fy_token_iter_destroy(iter);
    return ok && error == 0;
}

static int read_scalar(struct reader *rd, struct fy_event *e)
{
    struct config_pos at = scalar_pos(e);
    if (!collect_text(rd, e->scalar.value))
        return no_memory(rd);
    if (memchr(rd->text.data, '\0', rd->text.len) != NULL)
        return report_add(rd->report, at, "a NUL character, which no value may hold");
    const char *text = store_text(rd->store, (const char *)rd->text.data, rd->text.len);
    if (text == NULL)
        return no_memory(rd);
    if (wants_key(rd))
        return read_key(rd, text, at);
    struct yaml_node *node = node_new(rd, YAML_SCALAR, at);
    if (node == NULL)
        return -1;
    node->text = text;
    node->empty = is_null(e, text);
    attach(rd, node);
    return 0;
}

static int open_node(struct reader *rd, enum yaml_kind kind, struct config_pos at)
{
    if (wants_key(rd))
        return report_add(rd->report, at, "found %s, expected a key (a word and a colon)",
                          kind == YAML_LIST ? "a list" : "a section");
    if (rd->depth == YAML_DEPTH_MAX)
        return report_add(rd->report, at, "more than %d levels deep", YAML_DEPTH_MAX);
    struct yaml_node *node = node_new(rd, kind, at);
    if (node == NULL)
        return -1;
    attach(rd, node);
    rd->frames[rd->depth++] = (struct frame){.node = node};
    return 0;
}

static int close_node(struct reader *rd)
{
    CHECK(rd->depth > 0);
    rd->depth--;
    return 0;
}

/* Nearly always a name pattern that was meant as text. */
static int refuse_alias(struct reader *rd, struct fy_event *e)
{
    size_t len = 0;
    const char *p = fy_token_get_text(e->alias.anchor, &len);
    int n = (int)MIN(len, (size_t)KEY_SHOWN);
    if (p == NULL)
        return no_memory(rd);
    return report_add(rd->report, before(pos_of(fy_event_start_mark(e))),
                      "'*%.*s' without quotes is a YAML alias, which is not used here; write \"*%.*s\"", n, p,
                      n, p);
}

/* Anchors would need aliases, and tags would change what a value is. */
static int refuse_decoration(struct reader *rd, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor != NULL)
        return report_add(rd->report, before(pos_of(fy_token_start_mark(anchor))),
                          "YAML anchors (&name) are not used here; write the value out, or put it in quotes");
    if (tag != NULL)
        return report_add(rd->report, pos_of(fy_token_start_mark(tag)),
                          "YAML tags (!name) are not used here; leave it out, or put the value in quotes");
    return 0;
}

static int read_event(struct reader *rd, struct fy_event *e)
{
    struct config_pos at = pos_of(fy_event_start_mark(e));
    switch (e->type) {
    case FYET_DOCUMENT_START:
        if (++rd->documents > 1)
            return report_add(rd->report, at, "a second document begins here; a file holds one");
        return 0;
    case FYET_ALIAS:
        return refuse_alias(rd, e);
    case FYET_SCALAR:
        if (refuse_decoration(rd, e->scalar.anchor, e->scalar.tag) < 0)
            return -1;
        return read_scalar(rd, e);
    case FYET_SEQUENCE_START:
        if (refuse_decoration(rd, e->sequence_start.anchor, e->sequence_start.tag) < 0)
            return -1;
        return open_node(rd, YAML_LIST, at);
    case FYET_MAPPING_START:
        if (refuse_decoration(rd, e->mapping_start.anchor, e->mapping_start.tag) < 0)
            return -1;
        return open_node(rd, YAML_SECTION, at);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        return close_node(rd);
    default:
        return 0;
    }
}

/* libfyaml's own diagnostics go nowhere but into the list that we read. */
static void discard(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)len;
}

static int report_syntax(struct reader *rd, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (e == NULL)
        return report_add(rd->report, (struct config_pos){0, 0}, "not valid YAML");
    struct config_pos pos = {(uint32_t)MAX(e->line, 1), (uint32_t)MAX(e->column, 1)};
    /* Mostly text that was meant as it stands: "[::]:443", or with a colon and a space in it. */
    const char *hint =
        strstr(e->msg, "mapping") != NULL ? "; text with '[', '{' or ': ' in it needs quotes" : "";
    return report_add(rd->report, pos, "not valid YAML: %s%s", e->msg, hint);
}

static int read_events(struct reader *rd, struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_event *e;
    while ((e = fy_parser_parse(parser)) != NULL) {
        int r = read_event(rd, e);
        fy_parser_event_free(parser, e);
        if (r < 0)
            return -1;
    }
    if (fy_parser_get_stream_error(parser))
        return report_syntax(rd, diag);
    CHECK(rd->depth == 0);
    return 0;
}

static int read_text(struct reader *rd, const char *text, size_t len)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = discard;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (diag == NULL)
        return no_memory(rd);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_JSON_NONE, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    int r = -1;
    if (parser == NULL || fy_parser_set_string(parser, text, len) != 0)
        no_memory(rd);
    else
        r = read_events(rd, parser, diag);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return r;
}

/* Only UTF-8 and no control characters but tab and line ends (YAML 1.2, 5.1). */
static int check_characters(struct report *r, const char *text, size_t len)
{
    struct config_pos at = {1, 1};
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(text + i, len - i);
        unsigned char c = (unsigned char)text[i];
        if (n == 0)
            return report_add(r, at, "byte 0x%02x is not UTF-8; save the file as UTF-8", c);
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return report_add(r, at, "control character 0x%02x", c);
        at.column++;
        if (c == '\n')
            at = (struct config_pos){at.line + 1, 1};
        i += n;
    }
    return 0;
}

struct yaml_node *yaml_read(struct report *r, struct config_store *s, const void *text, size_t len)
{
    struct config_pos nowhere = {0, 0};
    const char *p = text;
    if (len > YAML_SIZE_MAX) {
        report_add(r, nowhere, "larger than %zu MiB", YAML_SIZE_MAX >> 20);
        return NULL;
    }
    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        len -= 3;
    }
    if (check_characters(r, p, len) < 0)
        return NULL;
    struct reader rd = {.report = r, .store = s};
    int bad = len > 0 ? read_text(&rd, p, len) : 0;
    buf_free(&rd.text);
    if (bad < 0)
        return NULL;
    if (rd.root == NULL)
        report_add(r, nowhere, "the file is empty");
    return rd.root;
}

const char *yaml_describe(const struct yaml_node *node, char quoted[QUOTE_MAX])
{
    switch (node->kind) {
    case YAML_LIST:
        return "a list";
    case YAML_SECTION:
        return "a section";
    default:
        return node->empty ? "nothing" : report_quote(quoted, node->text);
    }
}
