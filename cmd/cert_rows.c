/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cert_rows.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "cmd/table.h"

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
    const char *unusable = json_string_value(json_object_get(certificate, "unusable"));
    add_names(t, certificate);
    if (json_is_object(slot)) {
        table_add(t, "%s", table_text(slot, "issuer"));
        table_add(t, "%s", table_text(slot, "key"));
        add_life(t, slot);
        add_staple(t, slot);
    } else {
        for (int i = 0; i < 4; i++) {
            table_add(t, "%s", i != 2 ? "-" : unusable != NULL ? "cannot be used" : "none yet");
            table_paint(t, i == 2 && unusable != NULL ? TABLE_RED : TABLE_PLAIN);
        }
    }
    add_backup(t, certificate);
    table_add(t, "%.10s", table_text(slot, "issued"));
    add_next(t, certificate);
    table_add(t, "%s%s%s%s", strcmp(from, "promoted") == 0 ? "promoted: " : "",
              unusable != NULL          ? unusable
              : strcmp(label, "-") != 0 ? label
                                        : from,
              swapped != NULL ? ", swapped: " : "", swapped != NULL ? swapped : "");
}

static void add_heading(struct table *t)
{
    static const char *const heading[] = {"NAMES",  "ISSUER",  "KEY",      "LEFT", "STAPLE",
                                          "BACKUP", "RENEWED", "NEXT TRY", "FROM"};
    t->columns = ARRAY_LEN(heading);
    for (size_t i = 0; i < ARRAY_LEN(heading); i++)
        table_add(t, "%s", heading[i]);
}

void cert_rows_show(const json_t *list, bool first)
{
    struct table t = {.first = first};
    size_t i;
    const json_t *certificate;
    add_heading(&t);
    json_array_foreach(list, i, certificate) add_certificate(&t, certificate);
    table_end(&t, stdout);
}

/* ---- sources ---- */

static void add_count(struct table *t, const json_t *source, const char *key, enum table_colour colour)
{
    long long n = number_of(source, key);
    table_add(t, "%lld", n);
    table_paint(t, n > 0 ? colour : TABLE_PLAIN);
}

static void add_soonest(struct table *t, const json_t *source)
{
    char text[TABLE_DURATION_MAX];
    long long left;
    if (until(source, "soonest", &left))
        table_add(t, "%s: %s", table_duration((double)MAX(0, left), text),
                  table_text(source, "soonest_name"));
    else
        table_add(t, "-");
}

static void add_bad(struct table *t, const json_t *source)
{
    const json_t *bad = json_object_get(source, "bad");
    size_t n = json_array_size(bad);
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(bad, i)));
    if (number_of(source, "total") - number_of(source, "good") > (long long)n)
        buf_printf(&b, ",...");
    table_add(t, "%s", b.len > 0 ? buf_text(&b) : "-");
    table_paint(t, n > 0 ? TABLE_RED : TABLE_PLAIN);
    buf_free(&b);
}

static void add_source(struct table *t, const json_t *source)
{
    const char *label = table_text(source, "label");
    table_add(t, "%s", strcmp(label, "-") != 0 ? label : table_text(source, "from"));
    add_count(t, source, "total", TABLE_PLAIN);
    add_count(t, source, "good", TABLE_GREEN);
    add_count(t, source, "ending", TABLE_YELLOW);
    add_count(t, source, "expired", TABLE_RED);
    add_count(t, source, "revoked", TABLE_RED);
    add_count(t, source, "unusable", TABLE_RED);
    add_soonest(t, source);
    add_bad(t, source);
}

void cert_rows_show_sources(const json_t *sources, bool first)
{
    static const char *const heading[] = {"SOURCE",   "CERTIFICATES",    "GOOD",
                                          "ENDING",   "EXPIRED",         "REVOKED",
                                          "UNUSABLE", "FIRST TO EXPIRE", "NOT GOOD"};
    struct table t = {.columns = ARRAY_LEN(heading), .first = first};
    size_t i;
    const json_t *source;
    for (i = 0; i < ARRAY_LEN(heading); i++)
        table_add(&t, "%s", heading[i]);
    json_array_foreach(sources, i, source) add_source(&t, source);
    table_end(&t, stdout);
}
