/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cert_compare.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "cert/pem.h"
#include "cert/trust.h"

#define PINS_FILE_MAX (1024 * 1024)
#define NAMES_SHOWN 8

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

__attribute__((format(printf, 4, 5))) static void find(json_t *findings, const char *level, const char *what,
                                                       const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "level", level, "what", what, "text", line));
}

/* ---- pins ---- */

static int read_pins_file(struct cert_compare *with, struct err *err)
{
    struct buf text = {0};
    uint8_t ignored[PEM_PIN_LEN];
    size_t line = 0;
    if (file_read(with->pins_file, PINS_FILE_MAX, &text, NULL, err) != 0)
        return -1;
    CHECK(buf_append(&text, "", 1));
    int bad = 0;
    for (char *p = (char *)text.data, *end; *p != '\0' && bad == 0; p = end) {
        end = p + strcspn(p, "\n");
        end += *end == '\n' ? (*end = '\0', 1) : 0;
        p[strcspn(p, " \t\r#")] = '\0';
        line++;
        if (*p == '\0')
            continue;
        if (!base64_read(p, ignored, sizeof(ignored)))
            bad = err_set(err, "%s:%zu: found '%.64s', expected the SHA-256 of a public key in base64",
                          with->pins_file, line, p);
        else
            CHECK(buf_append(&with->pins, p, strlen(p) + 1));
    }
    buf_free(&text);
    return bad;
}

int cert_compare_open(struct cert_compare *with, struct err *err)
{
    const char *ca[] = {with->trust != NULL ? with->trust : "system"};
    const struct trust_files files = {.name = ca[0], .ca = ca, .ca_len = 1};
    const json_t *pin;
    size_t i;
    with->roots = trust_load(&files, err);
    if (with->roots == NULL)
        return -1;
    json_array_foreach(json_object_get(json_object_get(with->answer, "staging"), "pins"), i, pin)
        CHECK(buf_append(&with->pins, json_string_value(pin), strlen(json_string_value(pin)) + 1));
    return with->pins_file == NULL ? 0 : read_pins_file(with, err);
}

void cert_compare_close(struct cert_compare *with)
{
    trust_unref(with->roots);
    buf_free(&with->pins);
}

static bool has_pin(const struct buf *pins, const char *pin)
{
    for (size_t at = 0; at < pins->len; at += strlen((const char *)pins->data + at) + 1)
        if (strcmp((const char *)pins->data + at, pin) == 0)
            return true;
    return false;
}

static void pins_of(const json_t *cert, struct buf *ret)
{
    struct buf pem = {0};
    struct err err;
    const char *chain = text_of(cert, "chain");
    CHECK(buf_append(&pem, chain, strlen(chain)));
    pem_pins(&pem, ret, &err);
    buf_free(&pem);
}

/* A client is content with any of its pins; which of them it has we do not know, so each counts. */
static void compare_pins(const struct cert_compare *with, json_t *findings, const json_t *now,
                         const json_t *then)
{
    struct buf before = {0}, after = {0};
    pins_of(now, &before);
    pins_of(then, &after);
    for (size_t at = 0; at < with->pins.len; at += strlen((const char *)with->pins.data + at) + 1) {
        const char *pin = (const char *)with->pins.data + at;
        if (has_pin(&before, pin) && !has_pin(&after, pin))
            find(findings, "lost", "pin", "pin %s: no certificate of the chain has this key any more", pin);
    }
    buf_free(&before);
    buf_free(&after);
}

/* ---- chain ---- */

static bool verifies(const struct cert_compare *with, const json_t *cert, struct err *err)
{
    struct buf pem = {0};
    const char *chain = text_of(cert, "chain");
    CHECK(buf_append(&pem, chain, strlen(chain)));
    int done = trust_verify_pem(with->roots, &pem, NULL, time(NULL), err);
    buf_free(&pem);
    return done == 0;
}

/* Now and then, by the same roots. `now` may be NULL. */
static void compare_chain(const struct cert_compare *with, json_t *findings, const json_t *now,
                          const json_t *then)
{
    struct err err, ignored;
    const char *by = with->trust != NULL ? with->trust : "the machine's roots";
    if (verifies(with, then, &err))
        find(findings, "good", "chain", "the chain is good by %s", by);
    else if (now == NULL || verifies(with, now, &ignored))
        find(findings, "lost", "chain", "the chain is not good by %s: %s", by, err.text);
    else
        find(findings, "note", "chain", "neither chain is good by %s (%s): name the roots with --trust", by,
             err.text);
}

/* ---- the rest of a certificate ---- */

static void compare_names(json_t *findings, const json_t *entry)
{
    const json_t *lost = json_object_get(entry, "lost"), *name;
    size_t i;
    json_array_foreach(lost, i, name)
    {
        if (i == NAMES_SHOWN)
            break;
        find(findings, "lost", "name", "%s: no certificate would have this name", json_string_value(name));
    }
    if (json_array_size(lost) > NAMES_SHOWN)
        find(findings, "lost", "name", "and %zu names more", json_array_size(lost) - NAMES_SHOWN);
}

static void compare_time(json_t *findings, const json_t *now, const json_t *then)
{
    char today[CLOCK_TEXT_MAX];
    clock_format(clock_wall(), today);
    if (strcmp(text_of(then, "not_before"), today) > 0)
        find(findings, "lost", "time", "it is not valid before %s", text_of(then, "not_before"));
    if (strcmp(text_of(then, "not_after"), today) < 0)
        find(findings, "lost", "time", "it has expired on %s", text_of(then, "not_after"));
    else if (now != NULL && strcmp(text_of(then, "not_after"), text_of(now, "not_after")) < 0)
        find(findings, "changed", "time", "it ends on %s, and production on %s", text_of(then, "not_after"),
             text_of(now, "not_after"));
}

static void compare_text(json_t *findings, const char *what, const char *words, const json_t *now,
                         const json_t *then)
{
    if (strcmp(text_of(now, what), text_of(then, what)) != 0)
        find(findings, "changed", what, "%s: %s, in production %s", words, text_of(then, what),
             text_of(now, what));
}

static void compare_certificate(const struct cert_compare *with, json_t *findings, const json_t *entry)
{
    const json_t *then = json_object_get(entry, "certificate"),
                 *replaced = json_object_get(entry, "stands_for");
    const json_t *now = json_array_get(replaced, 0);
    size_t i;
    if (now == NULL)
        find(findings, "note", "name",
             "it takes the place of no certificate of the configuration's files; for its names it is served "
             "before what is looked up or obtained");
    compare_names(findings, entry);
    compare_time(findings, now, then);
    compare_chain(with, findings, now, then);
    json_array_foreach(replaced, i, now)
    {
        compare_text(findings, "issuer", "issued by", now, then);
        compare_text(findings, "key", "key", now, then);
        compare_text(findings, "signature", "signed with", now, then);
        compare_pins(with, findings, now, then);
    }
}

/* ---- TLS settings ---- */

static void compare_list(json_t *findings, const json_t *route, const char *key)
{
    char *now = json_dumps(json_object_get(json_object_get(route, "now"), key), JSON_COMPACT);
    char *then = json_dumps(json_object_get(json_object_get(route, "candidate"), key), JSON_COMPACT);
    CHECK(now != NULL && then != NULL);
    if (strcmp(now, then) != 0)
        find(findings, "changed", key, "route %s: %s %s, in production %s", text_of(route, "name"), key, then,
             strcmp(now, "[]") == 0 ? "all" : now);
    free(now);
    free(then);
}

static void compare_settings(const struct cert_compare *with, json_t *findings)
{
    const json_t *route;
    size_t i;
    json_array_foreach(json_object_get(with->answer, "routes"), i, route)
    {
        const char *now = text_of(json_object_get(route, "now"), "min_version");
        const char *then = text_of(json_object_get(route, "candidate"), "min_version");
        if (strcmp(now, then) != 0)
            find(findings, "changed", "min_version", "route %s: TLS %s at least, in production %s",
                 text_of(route, "name"), then, now);
        compare_list(findings, route, "groups");
        compare_list(findings, route, "ciphers");
    }
}

json_t *cert_compare(const struct cert_compare *with, const json_t *entry)
{
    json_t *findings = json_array();
    CHECK(findings != NULL);
    if (json_object_get(entry, "certificate") != NULL)
        compare_certificate(with, findings, entry);
    else
        compare_settings(with, findings);
    return findings;
}
