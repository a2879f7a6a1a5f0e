/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert test`: what a candidate would change, and for whom, before it is promoted. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cmd/admin_client.h"
#include "cmd/audit_log.h"
#include "cmd/cert_compare.h"
#include "cmd/cert_live.h"
#include "cmd/cert_log.h"
#include "cmd/cert_stage.h"
#include "cmd/cmd.h"

#define ASK_NS (30 * NSEC_PER_SEC)
#define LOGS_MAX 64
#define DAYS_MAX 3650
#define SHOWN 1024

struct question {
    const char *socket, *trust, *pins, *label;
    const char *files[LOGS_MAX];
    size_t files_len;
    struct audit_except except; /* lines of the log that do not count */
    char since[CLOCK_TEXT_MAX];
    int64_t since_seconds;            /* the same since 1970 */
    const char *production, *staging; /* addresses, for --live */
    bool live, json;
};

/* "7d", "12h": days or hours. */
static bool read_since(const char *text, struct question *q)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    int64_t unit = strcmp(end, "d") == 0 ? 86400 : strcmp(end, "h") == 0 ? 3600 : 0;
    if (end == text || *text == '-' || unit == 0 || n > DAYS_MAX)
        return false;
    int64_t time = clock_wall() - (int64_t)n * unit * NSEC_PER_SEC;
    clock_format(time, q->since);
    q->since_seconds = time / NSEC_PER_SEC;
    return true;
}

/* ---- telling ---- */

static const char *clean(const char *text, char space[SHOWN])
{
    str_clean(space, SHOWN, text == NULL ? "" : text);
    return space;
}

static void print_findings(const json_t *findings)
{
    char space[SHOWN];
    size_t i;
    const json_t *f;
    json_array_foreach(findings, i, f) printf("  %-8s %s\n", json_string_value(json_object_get(f, "level")),
                                              clean(json_string_value(json_object_get(f, "text")), space));
}

static void print_clients(const struct cert_log *log)
{
    char route[SHOWN], who[SHOWN];
    printf("  %-8s %llu handshakes in the log: %llu would fail, of %llu the log cannot tell\n", "clients",
           (unsigned long long)log->seen, (unsigned long long)log->refused, (unsigned long long)log->unknown);
    for (size_t i = 0; i < log->rows_len; i++) {
        const struct cert_log_row *row = &log->rows[i];
        printf("  %-8s route %s, %s: %llu connections, %s\n", row->surely ? "lost" : "perhaps",
               clean(row->route, route),
               row->identity[0] == '\0' ? "nobody known" : clean(row->identity, who),
               (unsigned long long)row->connections,
               row->why == NULL ? "and others that are not listed" : row->why);
    }
}

static json_t *clients_json(const struct cert_log *log)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < log->rows_len; i++) {
        const struct cert_log_row *row = &log->rows[i];
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s?, s:b, s:I}", "route", row->route, "identity",
                                              row->identity, "why", row->why, "surely", (int)row->surely,
                                              "connections", (json_int_t)row->connections));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "seen", (json_int_t)log->seen, "refused",
                     (json_int_t)log->refused, "unknown", (json_int_t)log->unknown, "rows", rows);
}

static bool is_lost(const json_t *findings, const struct cert_log *log)
{
    size_t i;
    const json_t *f;
    json_array_foreach(findings, i, f) if (strcmp(json_string_value(json_object_get(f, "level")), "lost") ==
                                           0) return true;
    return log->refused > 0;
}

/* ---- comparing ---- */

/* The candidates that are meant. */
static json_t *choose(const struct question *q, const json_t *answer)
{
    json_t *chosen = json_array(), *entry;
    size_t i;
    json_array_foreach(json_object_get(answer, "entries"), i, entry)
    {
        const char *label = json_string_value(json_object_get(entry, "label"));
        if (strcmp(json_string_value(json_object_get(entry, "state")), "candidate") == 0 &&
            (q->label == NULL || (label != NULL && strcmp(label, q->label) == 0)))
            json_array_append(chosen, entry);
    }
    return chosen;
}

static int read_files(struct audit_log *log, const char *const *paths, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = audit_log_read(log, paths[i], err);
    return rc;
}

/* The door's own and what it was rotated to; where nothing was written of late the own one, which may be
 * missing, is read all the same. */
static int read_own(const struct question *q, struct audit_log *log, const char *path, struct err *err)
{
    struct audit_files files;
    if (audit_files_find(path, q->since_seconds, &files, err) != 0)
        return audit_log_read(log, path, err);
    int rc = read_files(log, (const char *const *)files.v, files.n, err);
    audit_files_free(&files);
    return rc;
}

/* The door's own log where no other is named; it may have none that can be read here. */
static int read_logs(const struct question *q, const json_t *answer, struct cert_logs *logs,
                     uint64_t *ret_lines, struct err *err)
{
    const char *own = json_string_value(json_object_get(answer, "audit"));
    struct audit_log log = {.since = q->since, .each = cert_log_take, .arg = logs};
    *ret_lines = 0;
    if (q->files_len == 0 && (own == NULL || strcmp(own, "-") == 0)) {
        fprintf(stderr, "cardea: the door writes its audit lines to standard output, so no client is looked "
                        "at; name a file that has them with --log\n");
        return 0;
    }
    int rc = q->files_len == 0 ? read_own(q, &log, own, err) : read_files(&log, q->files, q->files_len, err);
    audit_log_end(&log);
    *ret_lines = log.lines;
    return rc;
}

static void tell(const struct question *q, const json_t *entries, json_t *const *findings,
                 const struct cert_log *logs, uint64_t lines, bool lost)
{
    size_t i;
    const json_t *entry;
    char space[SHOWN];
    json_t *all = json_array();
    json_array_foreach(entries, i, entry)
    {
        const char *label = json_string_value(json_object_get(entry, "label"));
        if (q->json) {
            json_array_append_new(all, json_pack("{s:s, s:O, s:o}", "label", label, "findings", findings[i],
                                                 "clients", clients_json(&logs[i])));
            continue;
        }
        printf("%s\n", clean(label, space));
        print_findings(findings[i]);
        print_clients(&logs[i]);
    }
    if (q->json) {
        json_t *out =
            json_pack("{s:O, s:I, s:b}", "candidates", all, "lines", (json_int_t)lines, "lost", (int)lost);
        json_dumpf(out, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(out);
    } else {
        printf(lost ? "something would be lost\n" : "nothing that is known would be lost\n");
    }
    json_decref(all);
}

/* ---- handshakes ---- */

static const char *either(const char *given, const json_t *answer, const char *key)
{
    return given != NULL ? given : json_string_value(json_object_get(answer, key));
}

/* The names to try: the candidate's, or, where that is settings, those of the certificate that ends first. */
static json_t *names_to_try(const struct question *q, const json_t *entry, struct err *err)
{
    json_t *names = json_object_get(json_object_get(entry, "certificate"), "names"), *answer = NULL;
    if (names != NULL)
        return json_incref(names);
    if (admin_ask(q->socket, "GET", "/certificates", ASK_NS, &answer, err) == 200) {
        const json_t *first = json_array_get(json_object_get(answer, "certificates"), 0);
        names = json_incref(json_object_get(first, "names"));
    }
    json_decref(answer);
    return names != NULL ? names : json_array();
}

static int shake_hands(const struct question *q, const json_t *answer, const json_t *entry,
                       struct trust *roots, json_t *findings, struct err *err)
{
    const struct cert_live live = {.production = either(q->production, answer, "production_address"),
                                   .staging = either(q->staging, answer, "staging_address"),
                                   .roots = roots};
    if (!q->live)
        return 0;
    if (live.production == NULL || live.staging == NULL)
        return err_set(err,
                       "--live: the configuration has no listener for TLS %s; say where one is with "
                       "--production and --staging HOST:PORT",
                       live.production == NULL ? "in production" : "among those of 'staging'");
    json_t *names = names_to_try(q, entry, err);
    int done = cert_live_try(&live, names, findings, err);
    json_decref(names);
    return done;
}

static int compare_all(const struct question *q, const json_t *answer, const json_t *entries, struct err *err)
{
    size_t n = json_array_size(entries);
    struct cert_log *logs = calloc(n + 1, sizeof(*logs));
    json_t **findings = calloc(n + 1, sizeof(json_t *));
    struct cert_compare with = {.trust = q->trust, .pins_file = q->pins, .answer = answer};
    uint64_t lines = 0;
    bool lost = false;
    CHECK(logs != NULL && findings != NULL);
    for (size_t i = 0; i < n; i++)
        logs[i] = (struct cert_log){.entry = json_array_get(entries, i),
                                    .routes = json_object_get(answer, "routes")};
    int done = read_logs(q, answer, &(struct cert_logs){logs, n, &q->except}, &lines, err);
    if (done == 0)
        done = cert_compare_open(&with, err);
    for (size_t i = 0; i < n && done == 0; i++) {
        findings[i] = cert_compare(&with, logs[i].entry);
        done = shake_hands(q, answer, logs[i].entry, with.roots, findings[i], err);
        lost = lost || is_lost(findings[i], &logs[i]);
    }
    if (done == 0)
        tell(q, entries, findings, logs, lines, lost);
    cert_compare_close(&with);
    for (size_t i = 0; i < n; i++) {
        json_decref(findings[i]);
        cert_log_done(&logs[i]);
    }
    free(findings);
    free(logs);
    return done != 0 ? -1 : lost;
}

static int test(const struct question *q)
{
    struct err err;
    json_t *answer = NULL;
    int code = admin_ask(q->socket, "GET", "/staging", ASK_NS, &answer, &err);
    if (code < 0)
        return cmd_failed("%s", err.text);
    if (code != 200) {
        json_decref(answer);
        return cmd_failed("the door answered %d to /staging: is it another version?", code);
    }
    json_t *entries = choose(q, answer);
    int status;
    if (json_array_size(entries) == 0) {
        status =
            q->label == NULL
                ? cmd_failed("there is no candidate: put one up with 'cardea cert stage FILE'")
                : cmd_failed("there is no candidate '%s'; 'cardea cert ls' shows what there is", q->label);
    } else {
        int lost = compare_all(q, answer, entries, &err);
        status = lost < 0 ? cmd_failed("%s", err.text) : lost == 0 ? CMD_OK : CMD_FAILED;
    }
    json_decref(entries);
    json_decref(answer);
    return status;
}

int cert_test(int argc, char **argv)
{
    struct question q = {0};
    const char *since = "7d", *excepts[AUDIT_EXCEPT_MAX];
    size_t excepts_len = 0;
    const struct cmd_flag flags[] = {
        {"socket", .text = &q.socket},
        {"log", .text = q.files, .count = &q.files_len, .most = LOGS_MAX},
        {"since", .text = &since},
        {"except", .text = excepts, .count = &excepts_len, .most = ARRAY_LEN(excepts)},
        {"pins", .text = &q.pins},
        {"trust", .text = &q.trust},
        {"live", .on = &q.live},
        {"production", .text = &q.production},
        {"staging", .text = &q.staging},
        {"json", .on = &q.json}};
    struct err err;
    int status;
    if (!cmd_flags("cert", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    q.live = q.live || q.production != NULL || q.staging != NULL;
    if (!read_since(since, &q))
        return cmd_misused("cert", "--since: found '%s', expected days or hours, as 7d or 12h", since);
    for (size_t i = 0; i < excepts_len; i++)
        if (audit_except_add(&q.except, excepts[i], &err) != 0)
            return cmd_misused("cert", "--except: %s", err.text);
    if (optind + 1 < argc)
        return cmd_misused("cert", "unexpected argument: %s", argv[optind + 1]);
    q.label = optind < argc ? argv[optind] : NULL;
    return test(&q);
}
