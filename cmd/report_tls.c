/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea report tls`: who would be turned away by settings of TLS that are stricter, as the audit log has
 * it. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/audit_log.h"
#include "cmd/check_path.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "cmd/report_judge.h"
#include "cmd/table.h"
#include "config/config.h"

#define TOP_DEFAULT 20
#define TOP_MAX 100000
#define CLIENTS_DEFAULT 65536
#define CLIENTS_MAX 10000000
#define PREFIX4_DEFAULT 24
#define PREFIX6_DEFAULT 64

struct options {
    const char *config, *since;
    uint64_t top, clients;
    bool json;
};

struct work {
    struct options options;
    struct report report;
    struct audit_log log;
    char from[CLOCK_TEXT_MAX]; /* --since as a time */
    int64_t from_seconds;
};

/* ---- what is asked ---- */

static int add_question(struct report *r, const char *text)
{
    struct report_answer *a = &r->answer[r->answers];
    struct err err;
    if (strcmp(text, "all") == 0) {
        int status = add_question(r, "min_version=1.3");
        return status == CMD_OK ? add_question(r, "pq=require") : status;
    }
    if (r->answers == REPORT_QUESTIONS_MAX)
        return cmd_misused("report", "more than %d times --would", REPORT_QUESTIONS_MAX);
    if (would_parse(text, &a->would, &err) != 0)
        return cmd_misused("report", "--would: %s, or all", err.text);
    a->text = text;
    r->answers++;
    return CMD_OK;
}

/* "7d" back from now, or a day or time. */
static int read_since(struct work *w)
{
    const char *text = w->options.since;
    int64_t back, seconds;
    if (text == NULL)
        return CMD_OK;
    if (unit_parse(text, unit_durations, &back) && back <= clock_wall())
        seconds = (clock_wall() - back) / NSEC_PER_SEC;
    else if (!check_path_time(text, &seconds) || seconds < 0)
        return cmd_misused("report",
                           "--since: found '%s', expected how long ago, such as 7d or 12h, or a day such as "
                           "2026-11-23",
                           text);
    w->from_seconds = seconds;
    clock_format(seconds * NSEC_PER_SEC, w->from);
    return CMD_OK;
}

static bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    return str_u64(text, most, ret) && *ret >= least;
}

/* "24,64": of IPv4 and IPv6. */
static bool read_prefixes(const char *text, struct report *r)
{
    char four[8];
    uint64_t v4, v6;
    const char *comma = strchr(text, ',');
    if (comma == NULL || !str_copy(four, sizeof(four), text, (size_t)(comma - text)) ||
        !str_u64(four, 32, &v4) || !str_u64(comma + 1, 128, &v6))
        return false;
    r->prefix4 = (uint8_t)v4;
    r->prefix6 = (uint8_t)v6;
    return true;
}

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},  {"since", required_argument, NULL, 's'},
    {"route", required_argument, NULL, 'r'},   {"would", required_argument, NULL, 'w'},
    {"except", required_argument, NULL, 'x'},  {"top", required_argument, NULL, 't'},
    {"clients", required_argument, NULL, 'k'}, {"prefix", required_argument, NULL, 'p'},
    {"passed", no_argument, NULL, 'P'},        {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},          {0},
};

/* One option. CMD_OK, or the exit status. */
static int take(struct work *w, int c)
{
    struct options *o = &w->options;
    struct report *r = &w->report;
    struct err err;
    switch (c) {
    case 'c':
        o->config = optarg;
        return CMD_OK;
    case 's':
        o->since = optarg;
        return CMD_OK;
    case 'r':
        if (r->routes_len == REPORT_ROUTES_MAX)
            return cmd_misused("report", "more than %d times --route", REPORT_ROUTES_MAX);
        r->routes[r->routes_len++] = optarg;
        return CMD_OK;
    case 'w':
        return add_question(r, optarg);
    case 'x':
        return audit_except_add(&r->except, optarg, &err) == 0
                   ? CMD_OK
                   : cmd_misused("report", "--except: %s", err.text);
    case 't':
        return read_count(optarg, 0, TOP_MAX, &o->top)
                   ? CMD_OK
                   : cmd_misused("report", "--top: found '%s', expected 0 to %d", optarg, TOP_MAX);
    case 'k':
        return read_count(optarg, 2, CLIENTS_MAX, &o->clients)
                   ? CMD_OK
                   : cmd_misused("report", "--clients: found '%s', expected 2 to %d", optarg, CLIENTS_MAX);
    case 'p':
        return read_prefixes(optarg, r)
                   ? CMD_OK
                   : cmd_misused("report",
                                 "--prefix: found '%s', expected bits of IPv4 and IPv6, such as 24,64",
                                 optarg);
    case 'P':
        r->passed = true;
        return CMD_OK;
    default:
        o->json = true;
        return CMD_OK;
    }
}

/* ---- JSON ---- */

static json_t *row_json(const struct tally_row *row)
{
    struct report_client c;
    report_client(row, &c);
    json_t *o = json_pack("{s:s, s:I}", "last", row->last, "connections", (json_int_t)row->count);
    const struct {
        const char *key, *text;
    } parts[] = {{"identity", c.identity}, {"network", c.network}, {"ja4", c.ja4}, {"route", c.route}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].text[0] != '\0')
            json_object_set_new(o, parts[i].key, json_string(parts[i].text));
    return o;
}

static json_t *answer_json(const struct work *w, const struct report_answer *a)
{
    struct tally_row *const *rows = tally_sorted(a->clients);
    struct tally_facts facts = tally_facts(a->clients);
    json_t *shown = json_array();
    uint64_t told = 0;
    for (size_t i = 0; i < MIN(facts.rows, (size_t)w->options.top); i++) {
        json_array_append_new(shown, row_json(rows[i]));
        told += rows[i]->count;
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:b, s:I, s:o, s:I, s:I}", "would", a->text, "breaking",
                     (json_int_t)a->breaking, "unknown", (json_int_t)a->unknown, "clients",
                     (json_int_t)report_clients(rows, facts.rows), "exact", facts.dropped == 0, "short_by",
                     (json_int_t)facts.short_by, "rows", shown, "other_rows",
                     (json_int_t)(facts.rows - json_array_size(shown) + facts.dropped), "other_connections",
                     (json_int_t)(facts.total - told));
}

static void tell_json(const struct work *w)
{
    const struct report *r = &w->report;
    json_t *answers = json_array();
    for (size_t i = 0; i < r->answers; i++)
        json_array_append_new(answers, answer_json(w, &r->answer[i]));
    json_t *all = json_pack("{s:I, s:I, s:s, s:s, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:o}", "lines",
                            (json_int_t)w->log.lines, "bad_lines", (json_int_t)w->log.bad, "first",
                            w->log.first, "last", w->log.last, "connections", (json_int_t)r->connections,
                            "not_judged", "no_handshake", (json_int_t)r->unshaken, "passed_through",
                            (json_int_t)r->through, "challenges", (json_int_t)r->challenges, "excepted",
                            (json_int_t)r->excepted, "other", (json_int_t)r->others, "answers", answers);
    cmd_print_json(all);
    json_decref(all);
}

/* ---- text ---- */

#define NUMBER_MAX 32

/* 10345 as "10,345". */
static const char *number(uint64_t n, char text[NUMBER_MAX])
{
    char digits[NUMBER_MAX];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

/* "0.1 %"; what is more than none and less than that is told as such, and so is what is not quite all. */
static const char *share(uint64_t part, uint64_t all, char text[NUMBER_MAX])
{
    double percent = all == 0 ? 0 : (double)part * 100 / (double)all;
    if (part > 0 && percent < 0.05)
        return "less than 0.1 %";
    if (part < all && percent > 99.95)
        return "more than 99.9 %";
    snprintf(text, NUMBER_MAX, "%.1f %%", percent);
    return text;
}

static void tell_rows(const struct work *w, struct tally_row *const *rows, const struct tally_facts *facts)
{
    struct table t = {.columns = 6};
    static const char *const heads[] = {"CONNECTIONS", "LAST SEEN", "IDENTITY", "NETWORK", "JA4", "ROUTE"};
    char text[NUMBER_MAX], more[NUMBER_MAX];
    uint64_t told = 0;
    size_t shown = MIN(facts->rows, (size_t)w->options.top);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        table_add(&t, "%s", heads[i]);
    for (size_t i = 0; i < shown; i++) {
        struct report_client c;
        const char *const parts[] = {c.identity, c.network, c.ja4, c.route};
        report_client(rows[i], &c);
        table_add(&t, "%s", number(rows[i]->count, text));
        table_add(&t, "%s", rows[i]->last);
        for (size_t k = 0; k < ARRAY_LEN(parts); k++)
            table_add(&t, "%s", parts[k][0] == '\0' ? "-" : parts[k]);
        told += rows[i]->count;
    }
    table_end(&t, stdout);
    uint64_t others = facts->rows - shown + facts->dropped;
    if (others > 0)
        printf("and %s%s others with %s connections\n", facts->dropped > 0 ? "up to " : "",
               number(others, text), number(facts->total - told, more));
    if (facts->dropped > 0)
        printf("there were more than --clients %" PRIu64
               ": those seen least were dropped, and a line may be short by up to %s connections\n",
               w->options.clients, number(facts->short_by, text));
}

static void tell_answer(const struct work *w, const struct report_answer *a)
{
    char breaking[NUMBER_MAX], all[NUMBER_MAX], percent[NUMBER_MAX], clients[NUMBER_MAX];
    struct tally_row *const *rows = tally_sorted(a->clients);
    struct tally_facts facts = tally_facts(a->clients);
    size_t n = report_clients(rows, facts.rows);
    enum would_verdict why = a->would.kind == WOULD_MIN  ? WOULD_BREAK_VERSION
                             : a->would.kind == WOULD_PQ ? WOULD_BREAK_GROUP
                                                         : WOULD_BREAK_CIPHER;
    printf("\nat %s: %s of %s connections (%s)", a->text, number(a->breaking, breaking),
           number(w->report.connections, all), share(a->breaking, w->report.connections, percent));
    if (a->breaking > 0)
        printf(" by %s%s client%s", facts.dropped > 0 ? "at least " : "", number(n, clients),
               n == 1 ? "" : "s");
    printf(" would break");
    if (a->breaking > 0)
        printf(": the client %s", would_text(&a->would, why));
    printf("\n");
    if (a->unknown > 0)
        printf("of %s the log does not tell: these lines are of a door that did not write yet what clients "
               "offer\n",
               number(a->unknown, all));
    tell_rows(w, rows, &facts);
}

static void tell_text(const struct work *w)
{
    const struct report *r = &w->report;
    char a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX];
    if (w->log.lines == 0) {
        printf("no lines%s%s", *w->from == '\0' ? "" : " since ", w->from);
        if (w->log.bad > 0)
            printf("; %s could not be read", number(w->log.bad, a));
        printf("\n");
        return;
    }
    printf("%s connections from %s to %s", number(r->connections, a), w->log.first, w->log.last);
    if (r->unshaken + r->through > 0)
        printf("; beside them %s without a handshake, and %s whose TLS was passed through",
               number(r->unshaken, b), number(r->through, c));
    printf("\n");
    if (r->challenges > 0)
        printf("not judged: %s of CAs that came for a challenge (tls-alpn-01)\n", number(r->challenges, a));
    if (r->excepted > 0)
        printf("left out by --except: %s\n", number(r->excepted, a));
    if (w->log.bad > 0)
        printf("%s lines could not be read\n", number(w->log.bad, a));
    for (size_t i = 0; i < r->answers; i++)
        tell_answer(w, &r->answer[i]);
}

/* ---- the work ---- */

static void on_line(void *arg, const struct audit_line *line)
{
    report_judge(arg, line);
}

static int read_paths(struct work *w, char *const *paths, size_t n)
{
    struct err err;
    for (size_t i = 0; i < n; i++)
        if (audit_log_read(&w->log, paths[i], &err) != 0)
            return cmd_failed("%s", err.text);
    return CMD_OK;
}

/* Is each route that is asked for one of the configuration's? */
static int check_routes(const struct work *w, const struct config *c)
{
    const struct report *r = &w->report;
    const char **names = calloc(c->routes.n + 1, sizeof(*names));
    char hint[STR_HINT_MAX];
    int status = CMD_OK;
    CHECK(names != NULL);
    for (size_t i = 0; i < c->routes.n; i++)
        names[i] = c->routes.v[i].name.text;
    for (size_t i = 0; i < r->routes_len && status == CMD_OK; i++) {
        size_t at = 0;
        while (at < c->routes.n && strcmp(names[at], r->routes[i]) != 0)
            at++;
        if (at == c->routes.n)
            status = cmd_failed("%s: no route is called '%s'%s", w->options.config, r->routes[i],
                                str_hint(r->routes[i], names, hint));
    }
    free(names);
    return status;
}

/* A route without a line may be a name that is none, of which nothing can be said. */
static int check_lines(const struct work *w)
{
    const struct report *r = &w->report;
    int status = CMD_OK;
    for (size_t i = 0; i < r->routes_len; i++)
        if (r->route_lines[i] == 0)
            status = cmd_failed("no line of route '%s'%s%s", r->routes[i], *w->from == '\0' ? "" : " since ",
                                w->from);
    return status;
}

/* The audit file that the configuration names, and what it was rotated to. */
static int read_configured(struct work *w)
{
    struct buf errors = {0};
    struct audit_files files;
    struct err err;
    struct config *c = config_load(w->options.config, &errors);
    int status = CMD_FAILED;
    if (c == NULL)
        fputs(buf_text(&errors), stderr);
    else if (check_routes(w, c) != CMD_OK)
        status = CMD_FAILED;
    else if (strcmp(c->audit.file.text, "-") == 0)
        cmd_failed("%s: the door writes its audit log to standard output: give it as a file, or - to read it "
                   "from standard input",
                   w->options.config);
    else if (audit_files_find(c->audit.file.text, w->from_seconds, &files, &err) != 0)
        cmd_failed("%s", err.text);
    else {
        status = read_paths(w, files.v, files.n);
        audit_files_free(&files);
    }
    config_free(c);
    buf_free(&errors);
    return status;
}

static int work(struct work *w, char **paths, int n)
{
    static char standard[] = "-";
    char *const input[] = {standard};
    struct report *r = &w->report;
    for (size_t i = 0; i < r->answers; i++)
        r->answer[i].clients = tally_new((size_t)w->options.clients);
    w->log.since = w->from;
    w->log.each = on_line;
    w->log.arg = r;
    int status = w->options.config != NULL ? read_configured(w)
                 : n > 0                   ? read_paths(w, paths, (size_t)n)
                                           : read_paths(w, input, 1);
    audit_log_end(&w->log);
    if (status == CMD_OK)
        status = check_lines(w);
    if (status == CMD_OK)
        (w->options.json ? tell_json : tell_text)(w);
    for (size_t i = 0; i < r->answers; i++)
        tally_free(r->answer[i].clients);
    return status;
}

int report_tls(int argc, char **argv)
{
    struct work w = {.options = {.top = TOP_DEFAULT, .clients = CLIENTS_DEFAULT},
                     .report = {.prefix4 = PREFIX4_DEFAULT, .prefix6 = PREFIX6_DEFAULT}};
    int status = CMD_OK;
    for (int c; (c = cmd_option(argc, argv, "c:h", options)) != -1;) {
        if (c == 'h' || c == '?')
            return cmd_usage("report", c == 'h');
        status = take(&w, c);
        if (status != CMD_OK)
            return status;
    }
    status = read_since(&w);
    if (status == CMD_OK && w.report.answers == 0)
        status = add_question(&w.report, "all");
    if (status != CMD_OK)
        return status;
    if (w.options.config != NULL && optind < argc)
        return cmd_misused("report", "-c and %s: expected one of them", argv[optind]);
    if (w.options.config == NULL && optind == argc && isatty(STDIN_FILENO))
        return cmd_misused("report",
                           "which log? Give files, - for standard input, or -c FILE for the door's own");
    return work(&w, argv + optind, argc - optind);
}
