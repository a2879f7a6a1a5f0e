/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cert_log.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
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
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p != '\0'; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
        if (strcspn(p, ",") == n && strncmp(p, word, n) == 0)
            return true;
    return false;
}

static bool has(const json_t *array, const char *word)
{
    size_t i;
    const json_t *item;
    json_array_foreach(array, i, item) if (strcmp(json_string_value(item), word) == 0) return true;
    return false;
}

/* One of its names, or a wildcard for the first label (RFC 9525, 6.3). The log has names as clients sent
 * them.
 */
static bool is_for(const json_t *names, const char *sni)
{
    const char *dot = strchr(sni, '.');
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (strcasecmp(text, sni) == 0 || (dot != NULL && text[0] == '*' && strcasecmp(text + 1, dot) == 0))
            return true;
    }
    return false;
}

/* What would become of a handshake. */
enum fate { FATE_NONE, FATE_GOOD, FATE_UNKNOWN, FATE_REFUSED };

static enum fate judge_certificate(const json_t *entry, const json_t *line, const char **ret_why)
{
    const json_t *cert = json_object_get(entry, "certificate"), *other;
    const char *sni = text_of(line, "sni"), *verifies = text_of(line, "verifies");
    size_t i;
    if (!is_for(json_object_get(cert, "names"), sni))
        return FATE_NONE;
    *ret_why = "the line does not say what the client can verify: it is of a door before this version";
    if (verifies[0] == '\0')
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

static enum fate judge_settings(const json_t *routes, const json_t *line, const char **ret_why)
{
    const json_t *route = settings_of(routes, text_of(line, "route"));
    const json_t *then = json_object_get(route, "candidate"), *ciphers = json_object_get(then, "ciphers");
    bool old = strcmp(text_of(line, "version"), "1.3") != 0;
    if (route == NULL)
        return FATE_NONE;
    *ret_why = "speaks TLS 1.2, no more";
    if (old && strcmp(text_of(then, "min_version"), "1.3") == 0)
        return FATE_REFUSED;
    *ret_why = "used a group that would go; whether it has another the log does not tell";
    if (!has(json_object_get(then, "groups"), text_of(line, "group")))
        return FATE_UNKNOWN;
    *ret_why = "used a cipher suite that would go; whether it has another the log does not tell";
    if (names_version(ciphers, !old) && !has(ciphers, text_of(line, "cipher")))
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

static void judge(struct cert_log *log, const json_t *line)
{
    const char *why = "";
    enum fate fate = json_object_get(log->entry, "certificate") != NULL
                         ? judge_certificate(log->entry, line, &why)
                         : judge_settings(log->routes, line, &why);
    log->seen += fate != FATE_NONE;
    if (fate != FATE_REFUSED && fate != FATE_UNKNOWN)
        return;
    log->refused += fate == FATE_REFUSED;
    log->unknown += fate == FATE_UNKNOWN;
    struct cert_log_row *row = row_for(log, text_of(line, "route"), text_of(line, "identity"), why);
    row->connections++;
    row->surely = fate == FATE_REFUSED;
}

/* A handshake that the door has completed; streams have none of their own. */
static bool is_handshake(const json_t *line)
{
    return json_is_object(line) && text_of(line, "version")[0] != '\0' &&
           json_object_get(line, "carrier") == NULL;
}

static bool take_line(const char *text, size_t len, struct cert_log *logs, size_t logs_len)
{
    json_t *line = json_loadb(text, len, 0, NULL);
    bool is = json_is_object(line);
    for (size_t i = 0; i < logs_len && is_handshake(line); i++)
        if (strcmp(text_of(line, "time"), logs[i].since) >= 0)
            judge(&logs[i], line);
    json_decref(line);
    return is;
}

int cert_log_read(const char *path, struct cert_log *logs, size_t logs_len, uint64_t *ret_lines,
                  struct err *err)
{
    char text[AUDIT_LINE_MAX + 2];
    bool whole = true; /* `text` begins where a line does */
    FILE *f = fopen(path, "re");
    *ret_lines = 0;
    if (f == NULL)
        return err_errno(err, errno, "cannot read the log %s", path);
    while (fgets(text, sizeof(text), f) != NULL) {
        size_t len = strlen(text);
        bool ends = len > 0 && text[len - 1] == '\n';
        if (whole && ends && take_line(text, len, logs, logs_len))
            ++*ret_lines;
        whole = ends;
    }
    int bad = ferror(f) ? err_errno(err, errno, "cannot read the log %s", path) : 0;
    fclose(f);
    return bad;
}

void cert_log_done(struct cert_log *log)
{
    for (size_t i = 0; i < log->rows_len; i++) {
        free(log->rows[i].route);
        free(log->rows[i].identity);
    }
    free(log->rows);
}
