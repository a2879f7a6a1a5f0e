/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cert_log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/check.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* ---- a line against a candidate ---- */

/* Is `word` one of a list apart by ','? */
static bool lists(struct str list, const char *word)
{
    struct str item;
    while (str_item(&list, &item))
        if (str_is(item, word))
            return true;
    return false;
}

static bool has(const json_t *array, struct str word)
{
    size_t i;
    const json_t *item;
    json_array_foreach(array, i, item) if (str_is(word, json_string_value(item))) return true;
    return false;
}

static bool is_name(const char *name, struct str text)
{
    return strlen(name) == text.len && strncasecmp(name, text.p, text.len) == 0;
}

/* One of its names, or a wildcard for the first label (RFC 9525, 6.3). The log has names as
 * clients sent them. */
static bool is_for(const json_t *names, struct str sni)
{
    size_t i, label = 0;
    const json_t *name;
    while (label < sni.len && sni.p[label] != '.')
        label++;
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (sni.len > 0 &&
            (is_name(text, sni) || (label < sni.len && text[0] == '*' &&
                                    is_name(text + 1, (struct str){sni.p + label, sni.len - label}))))
            return true;
    }
    return false;
}

/* What would become of a handshake. */
enum fate { FATE_NONE, FATE_GOOD, FATE_UNKNOWN, FATE_REFUSED };

static enum fate judge_certificate(const json_t *entry, const struct audit_line *line, const char **ret_why)
{
    const json_t *cert = json_object_get(entry, "certificate"), *other;
    struct str sni = line->v[AUDIT_SNI], verifies = line->v[AUDIT_VERIFIES];
    size_t i;
    if (!is_for(json_object_get(cert, "names"), sni))
        return FATE_NONE;
    *ret_why = "the line does not say what the client can verify: it is of a door before this version";
    if (verifies.len == 0)
        return FATE_UNKNOWN;
    if (lists(verifies, text_of(cert, "kind")))
        return FATE_GOOD;
    json_array_foreach(json_object_get(entry, "beside"), i,
                       other) if (is_for(json_object_get(other, "names"), sni) &&
                                  lists(verifies, text_of(other, "kind"))) return FATE_GOOD;
    *ret_why = "cannot verify this kind of key";
    return FATE_REFUSED;
}

static const json_t *settings_of(const json_t *routes, const char *name)
{
    size_t i;
    const json_t *route;
    json_array_foreach(routes, i, route) if (strcmp(text_of(route, "name"), name) == 0) return route;
    return NULL;
}

/* Does the list name suites of TLS 1.3, or of TLS 1.2? Of a version that it does not name all stay. */
static bool names_version(const json_t *ciphers, bool tls13)
{
    size_t i;
    const json_t *cipher;
    json_array_foreach(ciphers, i, cipher) if ((strstr(json_string_value(cipher), "_WITH_") == NULL) ==
                                               tls13) return true;
    return false;
}

/* By what the client has offered; lines of doors before this version only tell what was used. */
static enum fate judge_groups(const json_t *groups, const struct audit_line *line, const char **ret_why)
{
    struct str offers = line->v[AUDIT_OFFERS_GROUPS];
    size_t i;
    const json_t *group;
    *ret_why = "used a group that would go; whether it has another the log does not tell";
    if (offers.p == NULL)
        return has(groups, line->v[AUDIT_GROUP]) ? FATE_GOOD : FATE_UNKNOWN;
    *ret_why = "offers none of the groups that would be left";
    json_array_foreach(groups, i, group) if (lists(offers, json_string_value(group))) return FATE_GOOD;
    return FATE_REFUSED;
}

static enum fate judge_settings(const json_t *routes, const struct audit_line *line, const char **ret_why)
{
    char name[AUDIT_LINE_MAX];
    audit_line_text(line->v[AUDIT_ROUTE], name, sizeof(name));
    const json_t *route = settings_of(routes, name);
    const json_t *then = json_object_get(route, "candidate"), *ciphers = json_object_get(then, "ciphers");
    bool old = !str_is(line->v[AUDIT_VERSION], "1.3");
    if (route == NULL)
        return FATE_NONE;
    *ret_why = "speaks TLS 1.2, no more";
    if (old && strcmp(text_of(then, "min_version"), "1.3") == 0)
        return FATE_REFUSED;
    enum fate by_group = judge_groups(json_object_get(then, "groups"), line, ret_why);
    if (by_group != FATE_GOOD)
        return by_group;
    *ret_why = "used a cipher suite that would go; whether it has another the log does not tell";
    if (names_version(ciphers, !old) && !has(ciphers, line->v[AUDIT_CIPHER]))
        return FATE_UNKNOWN;
    return FATE_GOOD;
}

/* ---- rows ---- */

static struct cert_log_row *row_for(struct cert_log *log, const char *route, const char *identity,
                                    const char *why)
{
    for (size_t i = 0; i < log->rows_len; i++)
        if (log->rows[i].why == why && strcmp(log->rows[i].route, route) == 0 &&
            strcmp(log->rows[i].identity, identity) == 0)
            return &log->rows[i];
    if (log->rows_len == CERT_LOG_ROWS) {
        log->rows[CERT_LOG_ROWS - 1].why = NULL;
        return &log->rows[CERT_LOG_ROWS - 1];
    }
    if (log->rows == NULL)
        log->rows = calloc(CERT_LOG_ROWS, sizeof(*log->rows));
    CHECK(log->rows != NULL);
    struct cert_log_row *row = &log->rows[log->rows_len++];
    *row = (struct cert_log_row){.route = strdup(route), .identity = strdup(identity), .why = why};
    CHECK(row->route != NULL && row->identity != NULL);
    return row;
}

static void judge(struct cert_log *log, const struct audit_line *line)
{
    char route[AUDIT_LINE_MAX], identity[AUDIT_LINE_MAX];
    const char *why = "";
    enum fate fate = json_object_get(log->entry, "certificate") != NULL
                         ? judge_certificate(log->entry, line, &why)
                         : judge_settings(log->routes, line, &why);
    log->seen += fate != FATE_NONE;
    if (fate != FATE_REFUSED && fate != FATE_UNKNOWN)
        return;
    log->refused += fate == FATE_REFUSED;
    log->unknown += fate == FATE_UNKNOWN;
    audit_line_text(line->v[AUDIT_ROUTE], route, sizeof(route));
    audit_line_text(line->v[AUDIT_IDENTITY], identity, sizeof(identity));
    struct cert_log_row *row = row_for(log, route, identity, why);
    row->connections++;
    row->surely = fate == FATE_REFUSED;
}

void cert_log_take(void *logs, const struct audit_line *line)
{
    const struct cert_logs *all = logs;
    bool handshake = line->v[AUDIT_VERSION].len > 0 && line->v[AUDIT_CARRIER].p == NULL &&
                     !audit_line_is_challenge(line) && !audit_except_holds(all->except, line);
    for (size_t i = 0; i < all->n && handshake; i++)
        judge(&all->v[i], line);
}

void cert_log_done(struct cert_log *log)
{
    for (size_t i = 0; i < log->rows_len; i++) {
        free(log->rows[i].route);
        free(log->rows[i].identity);
    }
    free(log->rows);
}
