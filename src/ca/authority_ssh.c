/* SPDX-License-Identifier: Apache-2.0 */
/* An authority's part in SSH: who gets a certificate for what, the log, and which are revoked. */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/hostname.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "ca/ssh.h"
#include "state/state.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define USER_LIFETIME (16 * HOUR)
#define HOST_LIFETIME (90 * DAY)
#define LIFETIME_MAX (398 * DAY)
#define BACKDATE (5 * 60)
#define PRINCIPALS_MAX 256
#define PRINCIPAL_MAX 253 /* a host name */
#define TEXT_MAX 1024
#define SERIAL_LEN 8

/* ---- what is asked for ---- */

static bool printable(const char *text, size_t max, const char *not_these)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || strchr(not_these, text[i]) != NULL)
            return false;
    return len > 0 && len <= max;
}

/* A list of networks, as sshd(8) reads it. */
static bool networks_ok(const char *text)
{
    char one[64];
    uint8_t ip[16];
    uint64_t bits;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!str_copy(one, sizeof(one), text, len))
            return false;
        char *slash = strchr(one, '/');
        if (slash != NULL)
            *slash = '\0';
        size_t bytes = hostname_address(one, ip);
        if (bytes == 0 || (slash != NULL && !str_u64(slash + 1, 8 * bytes, &bits)))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

static int check_options(const struct authority_ssh *r, struct err *err)
{
    if (r->host && (r->force_command != NULL || r->source_address != NULL || r->no_pty || r->no_forwarding))
        return err_set(err, "options of a session are for certificates of users, not of hosts");
    if (r->force_command != NULL && !printable(r->force_command, TEXT_MAX, ""))
        return err_set(err, "a forced command with control characters, or of more than %d bytes", TEXT_MAX);
    if (r->source_address != NULL &&
        (strlen(r->source_address) > TEXT_MAX || !networks_ok(r->source_address)))
        return err_set(err,
                       "'%.200s': expected addresses or networks with ',' between them, such as 192.0.2.0/24",
                       r->source_address);
    return 0;
}

static int check_request(const struct authority_ssh *r, struct err *err)
{
    if (r->id == NULL || !printable(r->id, JOURNAL_WHO_MAX, ""))
        return err_set(err, "an SSH certificate needs a key id of 1 to %d printable characters",
                       JOURNAL_WHO_MAX);
    if (r->principals_len == 0 || r->principals_len > PRINCIPALS_MAX)
        return err_set(err,
                       "%zu principals, expected 1 to %d: without one the certificate would be good for %s",
                       r->principals_len, PRINCIPALS_MAX, r->host ? "every host" : "every user");
    for (size_t i = 0; i < r->principals_len; i++)
        if (!printable(r->principals[i], PRINCIPAL_MAX, " ,"))
            return err_set(err, "'%.100s': expected the name of a %s, without spaces and commas",
                           r->principals[i], r->host ? "host" : "user");
    if (r->lifetime < 0 || r->lifetime > LIFETIME_MAX)
        return err_set(err, "a lifetime of %lld seconds, expected %lld days at most", (long long)r->lifetime,
                       (long long)(LIFETIME_MAX / DAY));
    return check_options(r, err);
}

/* ---- certificates ---- */

static bool join(struct buf *ret, const struct authority_ssh *r)
{
    for (size_t i = 0; i < r->principals_len; i++)
        if (!buf_printf(ret, "%s%s", i == 0 ? "" : " ", r->principals[i]))
            return false;
    return true;
}

static int record(struct authority *a, const struct ssh_cert *cert, const struct buf *blob,
                  const struct authority_ssh *r, const char *who, int64_t now, struct ca_serial *ret_serial,
                  struct err *err)
{
    struct buf names = {0};
    struct writer w = writer_of(ret_serial->bytes, sizeof(ret_serial->bytes));
    writer_uint(&w, SERIAL_LEN, cert->serial);
    ret_serial->len = SERIAL_LEN;
    const char *profile = r->host ? "host" : "user";
    int rc = join(&names, r) ? 0 : err_set(err, "out of memory");
    if (rc == 0) {
        const struct authority_entry entry = {.serial = *ret_serial,
                                              .ssh = true,
                                              .profile = {profile, strlen(profile)},
                                              .label = {r->id, strlen(r->id)},
                                              .names = {(const char *)names.data, names.len},
                                              .who = {who, strlen(who)},
                                              .not_before = cert->not_before,
                                              .not_after = cert->not_after,
                                              .content = {(const char *)blob->data, blob->len}};
        rc = journal_issue(a->db, &entry, now, true, err);
    }
    buf_free(&names);
    return rc;
}

/* The serial number is that of the row in the log: small numbers in a row, which KRLs and people like. */
static int certify(struct authority *a, const struct ssh_public *key, const struct authority_ssh *r,
                   const char *who, int64_t now, struct ca_serial *ret_serial, struct buf *ret_blob,
                   struct err *err)
{
    int which = r->host ? SSH_HOST : SSH_USER;
    int64_t row, lifetime = r->lifetime != 0 ? r->lifetime : r->host ? HOST_LIFETIME : USER_LIFETIME;
    if (journal_next(a->db, &row, err) < 0)
        return -1;
    const struct ssh_cert cert = {.serial = (uint64_t)row,
                                  .host = r->host,
                                  .id = r->id,
                                  .principals = r->principals,
                                  .principals_len = r->principals_len,
                                  .not_before = now - BACKDATE,
                                  .not_after = now + lifetime,
                                  .force_command = r->force_command,
                                  .source_address = r->source_address,
                                  .no_pty = r->no_pty,
                                  .no_forwarding = r->no_forwarding};
    if (ssh_cert_put(ret_blob, key, &cert, a->ssh[which], &a->ssh_pub[which], err) < 0)
        return -1;
    return record(a, &cert, ret_blob, r, who, now, ret_serial, err);
}

/* In a transaction: nothing leaves that is not in the log. */
static int certify_whole(struct authority *a, const struct ssh_public *key, const struct authority_ssh *r,
                         const char *who, int64_t now, struct ca_serial *ret_serial, struct buf *ret_line,
                         struct err *err)
{
    struct buf blob = {0};
    if (state_begin(a->db, err) < 0)
        return -1;
    int rc = state_end(a->db, certify(a, key, r, who, now, ret_serial, &blob, err), err);
    const char *comment = key->comment.len > 0 ? (const char *)key->comment.data : r->id;
    if (rc == 0 && !ssh_put_line(ret_line, &blob, comment))
        rc = err_set(err, "out of memory");
    buf_free(&blob);
    return rc;
}

int authority_ssh_certify(struct authority *a, struct str public_key, const struct authority_ssh *request,
                          const char *who, int64_t now, struct ca_serial *ret_serial, struct buf *ret_line,
                          struct err *err)
{
    struct ssh_public key;
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    CHECK(now > BACKDATE);
    if (authority_check_unlocked(a, err) < 0 || check_request(request, err) < 0 ||
        ssh_public_read(public_key, &key, err) < 0)
        return -1;
    int rc = buf_text(&key.comment) == NULL
                 ? err_set(err, "out of memory")
                 : certify_whole(a, &key, request, who, now, ret_serial, ret_line, err);
    ssh_public_free(&key);
    return rc;
}

/* ---- the KRL ---- */

/* A buffer of numbers for each CA. */
static int add_to_krl(void *arg, const struct authority_entry *entry, struct err *err)
{
    struct buf *serials = arg;
    uint64_t serial;
    struct cursor c = cursor_of(entry->serial.bytes, entry->serial.len);
    if (!entry->ssh || !cursor_uint(&c, SERIAL_LEN, &serial))
        return 0;
    struct buf *of = &serials[str_is(entry->profile, "host") ? SSH_HOST : SSH_USER];
    return buf_append(of, &serial, sizeof(serial)) ? 0 : err_set(err, "out of memory");
}

/* Expired ones stay: sshd asks a KRL about the certificate alone, and a list that shrinks has no use here. */
static int make_krl(struct authority *a, int64_t now, struct buf *ret, struct err *err)
{
    const struct journal_act act = {.at = now, .act = "krl", .who = "krl"};
    struct buf serials[SSH_CAS] = {{0}};
    int64_t row;
    int rc = journal_append(a->db, &act, &row, err);
    if (rc == 0)
        rc = journal_revoked(a->db, 0, add_to_krl, serials, err);
    bool ok = rc < 0 || ssh_krl_begin(ret, (uint64_t)row, now);
    for (int which = 0; which < SSH_CAS; which++) {
        ok = ok && (rc < 0 || ssh_krl_add(ret, &a->ssh_pub[which], (const void *)serials[which].data,
                                          serials[which].len / sizeof(uint64_t)));
        buf_free(&serials[which]);
    }
    return rc == 0 && !ok ? err_set(err, "out of memory") : rc;
}

int authority_ssh_krl(struct authority *a, int64_t now, struct buf *ret, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    size_t before = ret->len;
    if (authority_check_unlocked(a, err) < 0 || state_begin(a->db, err) < 0)
        return -1;
    if (state_end(a->db, make_krl(a, now, ret, err), err) == 0)
        return 0;
    ret->len = before;
    return -1;
}
