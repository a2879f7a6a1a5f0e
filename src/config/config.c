/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "config/complete.h"
#include "config/keys.h"
#include "config/verify.h"

#define STATE_FOLDER "/var/lib/cardea"

/* Reading */

/* Read a file of that schema, as far as it can be: with errors in the report some values are missing. NULL
 * when there is nothing to go on with. What is returned lives in the store (NULL: there was no memory for
 * one). */
static void *read_root(struct report *r, struct config_store *s, const struct schema *schema,
                       const void *text, size_t len)
{
    const char *slash = strrchr(r->file, '/');
    struct schema_reader rd = {.report = r, .store = s};
    void *root = NULL;
    if (s != NULL) {
        rd.dir = store_text(s, r->file, slash == NULL ? 0 : (size_t)(slash - r->file) + 1);
        root = store_alloc(s, 1, schema->size);
    }
    if (rd.dir == NULL || root == NULL) {
        report_add(r, (struct config_pos){0, 0}, "out of memory");
        return NULL;
    }
    const struct yaml_node *node = yaml_read(r, s, text, len);
    if (node == NULL)
        return NULL;
    if (node->kind != YAML_SECTION) {
        /* Not the text itself: it may be any file's. */
        report_add(r, node->at, "found %s, expected keys such as '%s:'",
                   node->kind == YAML_LIST ? "a list"
                   : node->empty           ? "nothing"
                                           : "text without keys",
                   schema->keys[schema == &keys_config ? 1 : 0].name);
        return NULL;
    }
    schema_read(&rd, schema, node, root);
    return root;
}

/* The text of a file, or NULL with a line in `errors`. */
static int load(const char *path, struct buf *ret, struct buf *errors)
{
    struct err err;
    if (file_read(path, YAML_SIZE_MAX, ret, NULL, &err) == 0)
        return 0;
    if (errors != NULL)
        buf_printf(errors, "%s\n", err.text);
    return -1;
}

/* The whole */

static bool finish_config(struct report *r, struct config_store *s, struct config *c)
{
    c->store = s;
    if (r->count > 0) {
        config_verify_names(r, c);
        return false;
    }
    c->file = store_text(s, r->file, strlen(r->file));
    if (c->file == NULL || config_complete(c) < 0) {
        report_add(r, (struct config_pos){0, 0}, "out of memory");
        return false;
    }
    return config_verify(r, c) == 0;
}

static struct config *parse(const char *name, const void *text, size_t len, struct buf *errors)
{
    struct report r = {.file = name, .out = errors};
    struct config_store *s = store_new();
    struct config *c = read_root(&r, s, &keys_config, text, len);
    bool good = c != NULL && finish_config(&r, s, c);
    if (!good)
        store_free(s);
    report_finish(&r);
    CHECK(good == (r.count == 0));
    return good ? c : NULL;
}

struct config *config_parse(const char *name, const void *text, size_t len, struct buf *errors)
{
    struct config *c = parse(name, text, len, errors);
    if (c != NULL)
        c->text = (struct str){store_text(c->store, text, len), len};
    CHECK(c == NULL || c->text.p != NULL);
    return c;
}

struct config *config_load(const char *path, struct buf *errors)
{
    struct buf text = {0};
    if (load(path, &text, errors) < 0)
        return NULL;
    struct config *c = parse(path, text.data, text.len, errors);
    buf_free(&text);
    return c;
}

struct config *config_again(const struct config *c, struct buf *errors)
{
    return c->text.p != NULL ? config_parse(c->file, c->text.p, c->text.len, errors)
                             : config_load(c->file, errors);
}

struct config *config_survey(const char *path)
{
    struct buf text = {0};
    if (load(path, &text, NULL) < 0)
        return NULL;
    struct report r = {.file = path};
    struct config_store *s = store_new();
    struct config *c = read_root(&r, s, &keys_config, text.data, text.len);
    buf_free(&text);
    if (c != NULL) {
        c->store = s;
        c->file = store_text(s, path, strlen(path));
    }
    if (c != NULL && c->file != NULL)
        return c;
    store_free(s);
    return NULL;
}

void config_free(struct config *c)
{
    if (c != NULL)
        store_free(c->store);
}

/* The small files: of the client, of the agent. They need no completing. */

struct small_file {
    const struct schema *schema;
    size_t file, store; /* where in the struct its `file` and its `store` are */
};

#define SMALL_FILE(keys, type)                                                                         \
    {                                                                                                  \
        .schema = &(keys), .file = offsetof(struct type, file), .store = offsetof(struct type, store), \
    }

static const struct small_file client_file = SMALL_FILE(keys_client, client_config);
static const struct small_file expose_file = SMALL_FILE(keys_expose_file, expose_config);

/* `survey`: with errors too. */
static void *parse_small(const struct small_file *kind, const char *name, const void *text, size_t len,
                         bool survey, struct buf *errors)
{
    struct report r = {.file = name, .out = errors};
    struct config_store *s = store_new();
    unsigned char *c = read_root(&r, s, kind->schema, text, len);
    const char *file = c == NULL ? NULL : store_text(s, name, strlen(name));
    if (file == NULL || (r.count > 0 && !survey)) {
        store_free(s);
        c = NULL;
    } else {
        memcpy(c + kind->file, &file, sizeof(file));
        memcpy(c + kind->store, &s, sizeof(s)); /* NOLINT(bugprone-sizeof-expression): the pointer is meant */
    }
    report_finish(&r);
    return c;
}

static void *load_small(const struct small_file *kind, const char *path, bool survey, struct buf *errors)
{
    struct buf text = {0};
    if (load(path, &text, errors) < 0)
        return NULL;
    void *c = parse_small(kind, path, text.data, text.len, survey, errors);
    buf_free(&text);
    return c;
}

struct client_config *client_config_parse(const char *name, const void *text, size_t len, struct buf *errors)
{
    return parse_small(&client_file, name, text, len, false, errors);
}

struct client_config *client_config_load(const char *path, struct buf *errors)
{
    return load_small(&client_file, path, false, errors);
}

void client_config_free(struct client_config *c)
{
    if (c != NULL)
        store_free(c->store);
}

struct expose_config *expose_config_parse(const char *name, const void *text, size_t len, struct buf *errors)
{
    return parse_small(&expose_file, name, text, len, false, errors);
}

struct expose_config *expose_config_load(const char *path, struct buf *errors)
{
    return load_small(&expose_file, path, false, errors);
}

struct expose_config *expose_config_survey(const char *path)
{
    return load_small(&expose_file, path, true, NULL);
}

void expose_config_free(struct expose_config *c)
{
    if (c != NULL)
        store_free(c->store);
}

/* For those who use it */

int config_error(const struct config *c, struct config_pos at, struct err *err, const char *fmt, ...)
{
    struct err text;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text.text, sizeof(text.text), fmt, ap);
    va_end(ap);
    err_set(err, "%s", text.text);
    if (at.line == 0)
        return err_prefix(err, "%s", c->file);
    return err_prefix(err, "%s:%u:%u", c->file, at.line, at.column);
}

const struct config_trust *config_trust_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->trust.n; i++)
        if (strcmp(c->trust.v[i].name.text, name) == 0)
            return &c->trust.v[i];
    return NULL;
}

const struct config_route *config_route_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->routes.n; i++)
        if (strcmp(c->routes.v[i].name.text, name) == 0)
            return &c->routes.v[i];
    return NULL;
}

bool config_route_names(const struct config_route *r, const char *listener)
{
    for (size_t i = 0; i < r->listeners.n; i++)
        if (strcmp(r->listeners.v[i].text, listener) == 0)
            return true;
    return false;
}

/* How many of the listeners that the route names speak plain, and how many do not. */
static void count_listeners(const struct config *c, const struct config_route *r, size_t *ret_plain,
                            size_t *ret_others)
{
    *ret_plain = *ret_others = 0;
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (!config_route_names(r, c->listeners.v[i].name.text))
            continue;
        bool plain = strcmp(c->listeners.v[i].speaks.text, CONFIG_SPEAKS_PLAIN) == 0;
        *(plain ? ret_plain : ret_others) += 1;
    }
}

bool config_route_is_plain(const struct config *c, const struct config_route *r)
{
    size_t plain, others;
    count_listeners(c, r, &plain, &others);
    return plain > 0 || (r->action == CONFIG_SERVE && r->first_bytes.n > 0);
}

bool config_route_ends_tls(const struct config *c, const struct config_route *r)
{
    size_t plain, others;
    count_listeners(c, r, &plain, &others);
    return r->action == CONFIG_TERMINATE || r->action == CONFIG_TUNNEL || r->action == CONFIG_EXPOSE ||
           (r->action == CONFIG_SERVE && r->first_bytes.n == 0 && (plain == 0 || others > 0));
}

static const char *name_of(const struct schema_name *names, int value)
{
    for (; names->name != NULL; names++)
        if (names->value == value)
            return names->name;
    return NULL;
}

const char *config_alert_name(int code)
{
    return name_of(keys_alerts, code);
}

const char *config_group_name(int code)
{
    return name_of(keys_groups, code);
}

const char *config_cipher_name(int code)
{
    return name_of(keys_ciphers, code);
}

const char *config_state_folder(const struct config *c)
{
    const char *given = getenv("STATE_DIRECTORY"); /* several: apart by ':' */
    if (c->state.text != NULL)
        return c->state.text;
    return given != NULL && *given == '/' && strchr(given, ':') == NULL ? given : STATE_FOLDER;
}

const char *config_action_name(enum config_action action)
{
    switch (action) {
    case CONFIG_PASS:
        return "pass";
    case CONFIG_TERMINATE:
        return "terminate";
    case CONFIG_TUNNEL:
        return "tunnel";
    case CONFIG_EXPOSE:
        return "expose";
    case CONFIG_FORWARD:
        return "forward";
    case CONFIG_SERVE:
        return "serve";
    case CONFIG_REJECT:
        return "reject";
    }
    return NULL;
}

const struct config_backend *config_route_backend(const struct config_route *r)
{
    switch (r->action) {
    case CONFIG_PASS:
        return r->pass;
    case CONFIG_TERMINATE:
        return r->terminate;
    case CONFIG_FORWARD:
        return r->forward;
    default:
        return NULL;
    }
}
