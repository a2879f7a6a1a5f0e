/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert stage`, `promote`, `rollback`, `disable`: the door does it, and reads the files itself. */
#include "cmd/cert_stage.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/file.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"

#define ASK_NS (60 * NSEC_PER_SEC)
#define SHOWN 1024

struct order {
    const char *verb, *socket, *file, *key, *name, *tls;
    bool force, json;
};

static int put_path(struct buf *b, const char *key, const char *path)
{
    struct buf absolute = {0};
    if (path == NULL)
        return 0;
    if (strncmp(path, "pkcs11:", strlen("pkcs11:")) == 0) {
        admin_put_value(b, key, path);
        return 0;
    }
    if (file_put_absolute(&absolute, path) != 0) {
        buf_free(&absolute);
        return -1;
    }
    admin_put_value(b, key, buf_text(&absolute));
    buf_free(&absolute);
    return 0;
}

static void print_lines(const json_t *lines, const char *before)
{
    size_t i;
    json_t *line;
    char clean[SHOWN];
    json_array_foreach(lines, i, line)
    {
        str_clean(clean, sizeof(clean), json_is_string(line) ? json_string_value(line) : "");
        fprintf(stderr, "cardea: %s%s\n", before, clean);
    }
}

static void tell(const struct order *o, const json_t *answer)
{
    char label[SHOWN];
    const char *told = json_string_value(json_object_get(answer, "label"));
    str_clean(label, sizeof(label), told == NULL ? "" : told);
    if (strcmp(o->verb, "stage") == 0 && json_is_true(json_object_get(answer, "seen")))
        printf("%s is staged: see what it changes with 'cardea cert test', then 'cardea cert promote'\n",
               label);
    else if (strcmp(o->verb, "stage") == 0)
        printf("%s is staged, and nobody sees it: the configuration has no section 'staging'\n", label);
    else if (strcmp(o->verb, "promote") == 0)
        printf("%s is in production, from the next handshake on; 'cardea cert rollback' takes it back\n",
               label);
    else if (strcmp(o->verb, "rollback") == 0)
        printf("%s is a candidate again; what was there before it is served\n", label);
    else
        printf("%s is no candidate any more\n", label);
    print_lines(json_object_get(answer, "lost"), "served no more: ");
}

static int send_order(const struct order *o)
{
    struct buf path = {0};
    struct err err;
    json_t *answer = NULL;
    CHECK(buf_printf(&path, "/stage?do=%s%s", o->verb, o->force ? "&force=1" : ""));
    admin_put_value(&path, "name", o->name);
    admin_put_value(&path, "tls", o->tls);
    if (put_path(&path, "file", o->file) != 0 || put_path(&path, "key", o->key) != 0) {
        buf_free(&path);
        return cmd_failed("the folder that this runs in cannot be told, so the door would not find %s",
                          o->file);
    }
    int code = admin_ask(o->socket, "POST", buf_text(&path), ASK_NS, &answer, &err);
    buf_free(&path);
    if (code < 0)
        return cmd_failed("%s", err.text);
    if (o->json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (code == 200) {
        tell(o, answer);
    } else {
        print_lines(json_object_get(answer, "errors"), "");
    }
    json_decref(answer);
    return code == 200 ? CMD_OK : CMD_FAILED;
}

/* Where the key is when nobody says: beside the certificate, or in the same file. */
static const char *key_beside(const char *file, struct buf *space)
{
    size_t len = strlen(file);
    if (len > 4 && strcmp(file + len - 4, ".pem") == 0) {
        CHECK(buf_printf(space, "%.*s.key", (int)(len - 4), file));
        if (access(buf_text(space), F_OK) == 0)
            return buf_text(space);
    }
    return file;
}

int cert_stage(int argc, char **argv)
{
    struct order o = {.verb = "stage"};
    struct buf space = {0};
    const struct cmd_flag flags[] = {{"socket", .text = &o.socket},
                                     {"key", .text = &o.key},
                                     {"name", .text = &o.name},
                                     {"tls", .text = &o.tls},
                                     {"json", .on = &o.json}};
    int status;
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (o.tls != NULL && (optind != argc || o.key != NULL || o.name != NULL))
        return cmd_misused("cert", "--tls stands alone: neither FILE nor --key nor --name goes with it");
    if (o.tls == NULL && optind + 1 != argc)
        return cmd_misused("cert", optind == argc ? "which certificate? FILE, or --tls SETTINGS, is missing"
                                                  : "one FILE at a time");
    if (o.tls == NULL) {
        o.file = argv[optind];
        o.key = o.key != NULL ? o.key : key_beside(o.file, &space);
    }
    status = send_order(&o);
    buf_free(&space);
    return status;
}

/* `verb` [LABEL]. */
static int move(const char *verb, int argc, char **argv)
{
    struct order o = {.verb = verb};
    const struct cmd_flag flags[] = {
        {"socket", .text = &o.socket}, {"force", .on = &o.force}, {"json", .on = &o.json}};
    int status;
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (o.force && strcmp(verb, "promote") != 0)
        return cmd_misused("cert", "--force goes with 'promote'");
    if (optind + 1 < argc)
        return cmd_misused("cert", "unexpected argument: %s", argv[optind + 1]);
    o.name = optind < argc ? argv[optind] : NULL;
    return send_order(&o);
}

int cert_promote(int argc, char **argv)
{
    return move("promote", argc, argv);
}

int cert_rollback(int argc, char **argv)
{
    return move("rollback", argc, argv);
}

int cert_disable(int argc, char **argv)
{
    return move("disable", argc, argv);
}
