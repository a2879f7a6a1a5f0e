/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert ls`: the certificates of the running door. */
#include "cmd/cert_ls.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "cmd/admin_client.h"
#include "cmd/cert_rows.h"
#include "cmd/cmd.h"
#include "cmd/table.h"

#define ASK_NS (120 * NSEC_PER_SEC) /* a large folder is counted */

/* ---- what the configuration names, and what its sources are like ---- */

static void show(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "certificates"),
                 *sources = json_object_get(answer, "sources");
    long long total = (long long)json_integer_value(json_object_get(answer, "certificates_total"));
    cert_rows_show(list, true);
    cert_rows_show_sources(sources, json_array_size(list) == 0);
    if (total == 0 && json_array_size(sources) == 0)
        printf("the door serves no certificates of its own\n");
    else if (total > (long long)json_array_size(list))
        printf("%lld certificates in all; those with the least life left are shown\n", total);
}

/* What stands beside the configuration: candidates, and settings that were promoted. */
static void show_beside(const json_t *answer)
{
    size_t i;
    const json_t *item;
    char label[512], tls[512];
    json_array_foreach(json_object_get(answer, "beside"), i, item)
    {
        bool promoted = strcmp(table_text(item, "state"), "promoted") == 0;
        bool settings = json_is_string(json_object_get(item, "tls"));
        if (promoted && !settings)
            continue; /* it is in the table */
        str_clean(label, sizeof(label), table_text(item, "label"));
        str_clean(tls, sizeof(tls), table_text(item, "tls"));
        printf("%s: %s%s%s\n", promoted ? "promoted" : "candidate", label, settings ? ": " : "",
               settings ? tls : "");
    }
}

static json_t *ask(const char *socket, const char *path)
{
    struct err err;
    json_t *answer = NULL;
    int code = admin_ask(socket, "GET", path, ASK_NS, &answer, &err);
    if (code == 200)
        return answer;
    json_decref(answer);
    if (code < 0)
        cmd_failed("%s", err.text);
    else
        cmd_failed("the door answered %d to %s: is it another version?", code, path);
    return NULL;
}

static int list(const char *socket, bool json)
{
    json_t *answer = ask(socket, "/certificates");
    if (answer == NULL)
        return CMD_FAILED;
    if (json) {
        cmd_print_json(answer);
    } else {
        show(answer);
        show_beside(answer);
        admin_warn_of_ca(socket);
    }
    json_decref(answer);
    return CMD_OK;
}

/* ---- all of them, page by page ---- */

struct stream {
    const char *socket;
    bool json;
    size_t shown;
};

static void show_page(struct stream *s, const json_t *rows)
{
    size_t i;
    const json_t *row;
    if (!s->json)
        cert_rows_show(rows, s->shown == 0);
    json_array_foreach(rows, i, row)
    {
        if (s->json) {
            fputs(s->shown > 0 ? ",\n" : "", stdout);
            json_dumpf(row, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        }
        s->shown++;
    }
    fflush(stdout);
}

/* Where the next page begins, or empty. */
static void read_next(const json_t *answer, struct buf *next)
{
    const char *text = json_string_value(json_object_get(answer, "next"));
    buf_consume(next, next->len);
    if (text != NULL)
        CHECK(buf_append(next, text, strlen(text)));
}

/* `match` NULL: all. The door makes `next` of letters that a query may have. */
static int list_pages(struct stream *s, const char *match)
{
    struct buf next = {0}, path = {0};
    int status = CMD_OK;
    do {
        buf_consume(&path, path.len);
        CHECK(buf_printf(&path, "/certificates?%s%s", match != NULL ? "match=" : "each=1",
                         match != NULL ? match : ""));
        if (next.len > 0)
            CHECK(buf_printf(&path, "&after=%s", buf_text(&next)));
        json_t *answer = ask(s->socket, buf_text(&path));
        if (answer != NULL)
            show_page(s, json_object_get(answer, "certificates"));
        else
            status = CMD_FAILED;
        read_next(answer, &next);
        json_decref(answer);
    } while (status == CMD_OK && next.len > 0);
    buf_free(&next);
    buf_free(&path);
    return status;
}

static int list_all(struct stream *s, char **matches, size_t n)
{
    int status = CMD_OK;
    if (s->json)
        printf("{\"certificates\":[");
    if (n == 0)
        status = list_pages(s, NULL);
    for (size_t i = 0; i < n && status == CMD_OK; i++) {
        size_t before = s->shown;
        status = list_pages(s, matches[i]);
        if (status == CMD_OK && s->shown == before)
            status = cmd_failed("no certificate has a name like %s", matches[i]);
    }
    if (s->json)
        printf("]}\n");
    else if (status == CMD_OK)
        admin_warn_of_ca(s->socket);
    return status;
}

static bool is_pattern(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*";
    return *text != '\0' && strlen(text) <= HOSTNAME_MAX && text[strspn(text, letters)] == '\0';
}

int cert_ls(int argc, char **argv)
{
    struct stream s = {0};
    bool all = false;
    int status;
    const struct cmd_flag flags[] = {
        {"socket", .text = &s.socket}, {"json", .on = &s.json}, {"all", .on = &all}};
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (all && optind != argc)
        return cmd_misused("cert", "--all and '%s': expected one of them", argv[optind]);
    for (int i = optind; i < argc; i++)
        if (!is_pattern(argv[i]))
            return cmd_misused("cert", "%s: expected a name, where * is any text", argv[i]);
    return all || optind < argc ? list_all(&s, argv + optind, (size_t)(argc - optind))
                                : list(s.socket, s.json);
}
