/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert ls`: the certificates of the running door. */
#include "cmd/cert_ls.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/table.h"

#define ASK_NS (10 * NSEC_PER_SEC)
#define NAMES_SHOWN 2
#define BAR 10 /* characters */

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Seconds from now until a time of the door's; false when there is none. */
static bool until(const json_t *object, const char *key, long long *ret)
{
    struct tm tm = {0};
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return false;
    *ret = (long long)(timegm(&tm) - time(NULL));
    return true;
}

/* ---- cells ---- */

static void add_names(struct table *t, const json_t *certificate)
{
    const json_t *names = json_object_get(certificate, "names");
    size_t n = json_array_size(names);
    struct buf b = {0};
    for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
        buf_printf(&b, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(names, i)));
    if (number_of(certificate, "names_total") > NAMES_SHOWN)
        buf_printf(&b, ",... (%lld)", number_of(certificate, "names_total"));
    table_add(t, "%s", b.len > 0 ? buf_text(&b) : "-");
    buf_free(&b);
}

/* What is left of its life, as a bar of it. */
static void add_life(struct table *t, const json_t *slot)
{
    char bar[BAR + 1] = "", text[TABLE_DURATION_MAX];
    const char *state = table_text(slot, "state");
    long long left = number_of(slot, "seconds_left"), life = MAX(number_of(slot, "seconds"), 1);
    size_t full = (size_t)MIN(BAR, (left * BAR + life - 1) / life);
    memset(bar, '-', BAR);
    memset(bar, '#', full);
    if (strcmp(state, "good") == 0)
        table_add(t, "[%s] %s", bar, table_duration((double)left, text));
    else
        table_add(t, "[%s] %s %s", bar, table_duration((double)left, text), state);
    bool bad = strcmp(state, "revoked") == 0 || strcmp(state, "expired") == 0 || left < life / 6;
    table_paint(t, bad                                             ? TABLE_RED
                   : strcmp(state, "good") != 0 || left < life / 3 ? TABLE_YELLOW
                                                                   : TABLE_GREEN);
}

static void add_staple(struct table *t, const json_t *slot)
{
    char text[TABLE_DURATION_MAX];
    long long left;
    const json_t *staple = json_object_get(slot, "staple");
    if (until(staple, "next_update", &left) && left > 0) {
        table_add(t, "%s", table_duration((double)left, text));
    } else if (json_is_object(staple)) {
        table_add(t, "stale");
        table_paint(t, TABLE_RED);
    } else if (is_true(slot, "must_staple")) {
        table_add(t, "missing");
        table_paint(t, TABLE_RED);
    } else {
        table_add(t, "-");
    }
}

static void add_backup(struct table *t, const json_t *certificate)
{
    char text[TABLE_DURATION_MAX];
    const json_t *slot = json_object_get(certificate, "backup");
    const char *state = table_text(slot, "state");
    if (json_is_object(slot) && strcmp(state, "good") == 0) {
        table_add(t, "%s, %s", table_text(slot, "issuer"),
                  table_duration((double)number_of(slot, "seconds_left"), text));
    } else if (is_true(certificate, "backup_wanted")) {
        table_add(t, "%s", json_is_object(slot) ? state : "not yet");
        table_paint(t, TABLE_YELLOW);
    } else {
        table_add(t, "-");
    }
}

static void add_next(struct table *t, const json_t *certificate)
{
    char text[TABLE_DURATION_MAX];
    long long left, failures = number_of(certificate, "failures");
    struct buf b = {0};
    if (!until(certificate, "next_try", &left))
        buf_printf(&b, "-");
    else if (left <= 0)
        buf_printf(&b, "now");
    else
        buf_printf(&b, "in %s", table_duration((double)left, text));
    if (failures > 0)
        buf_printf(&b, " (%s, %lld in a row)", table_text(certificate, "failure"), failures);
    table_add(t, "%s", buf_text(&b));
    if (failures > 0)
        table_paint(t, TABLE_RED);
    buf_free(&b);
}

static void add_certificate(struct table *t, const json_t *certificate)
{
    const json_t *slot = json_object_get(certificate, "served");
    const char *label = table_text(certificate, "label"), *from = table_text(certificate, "from");
    const char *swapped = json_string_value(json_object_get(certificate, "swapped"));
    add_names(t, certificate);
    if (json_is_object(slot)) {
        table_add(t, "%s", table_text(slot, "issuer"));
        table_add(t, "%s", table_text(slot, "key"));
        add_life(t, slot);
        add_staple(t, slot);
    } else {
        for (int i = 0; i < 4; i++)
            table_add(t, "%s", i == 2 ? "none yet" : "-");
    }
    add_backup(t, certificate);
    table_add(t, "%.10s", table_text(slot, "issued"));
    add_next(t, certificate);
    table_add(t, "%s%s%s%s", strcmp(from, "promoted") == 0 ? "promoted: " : "",
              strcmp(label, "-") != 0 ? label : from, swapped != NULL ? ", swapped: " : "",
              swapped != NULL ? swapped : "");
}

/* ---- cert ls ---- */

static void show(const json_t *answer)
{
    static const char *const heading[] = {"NAMES",  "ISSUER",  "KEY",      "LEFT", "STAPLE",
                                          "BACKUP", "RENEWED", "NEXT TRY", "FROM"};
    struct table t = {.columns = ARRAY_LEN(heading)};
    const json_t *list = json_object_get(answer, "certificates");
    long long total = number_of(answer, "certificates_total");
    size_t i;
    json_t *certificate;
    for (i = 0; i < ARRAY_LEN(heading); i++)
        table_add(&t, "%s", heading[i]);
    json_array_foreach(list, i, certificate) add_certificate(&t, certificate);
    table_end(&t, stdout);
    if (total == 0)
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

static int list(const char *socket, bool json)
{
    struct err err;
    json_t *answer;
    int code = admin_ask(socket, "GET", "/certificates", ASK_NS, &answer, &err);
    if (code < 0)
        return cmd_failed("%s", err.text);
    if (code == 200 && json) {
        cmd_print_json(answer);
    } else if (code == 200) {
        show(answer);
        show_beside(answer);
    }
    json_decref(answer);
    return code == 200 ? CMD_OK
                       : cmd_failed("the door answered %d to /certificates: is it another version?", code);
}

int cert_ls(int argc, char **argv)
{
    const char *socket = NULL;
    bool json = false;
    int status;
    const struct cmd_flag flags[] = {{"socket", .text = &socket}, {"json", .on = &json}};
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (optind != argc)
        return cmd_misused("cert", "unexpected argument: %s", argv[optind]);
    return list(socket, json);
}
