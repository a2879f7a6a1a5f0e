/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca list`, `show`, `audit`, `revoke`, `crl` and `set`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hex.h"
#include "cert/pem.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/table.h"

#define CRL_LIFETIME (INT64_C(7) * 86400)
#define CERT_FILE_MAX (1024 * 1024)

/* ---- list ---- */

struct listing {
    int64_t now;
    struct table table;
    json_t *array; /* instead of the table */
};

static int add_row(void *arg, const struct authority_entry *e, struct err *err)
{
    struct listing *l = arg;
    char serial[CA_SERIAL_TEXT], until[PEM_TIME_MAX], left[32];
    const char *reason = ca_reason_name(e->reason);
    (void)err;
    if (l->array != NULL) {
        json_array_append_new(l->array, ca_entry_json(e));
        return 0;
    }
    table_add(&l->table, "%s", ca_serial_text(&e->serial, serial));
    table_add(&l->table, "%s%.*s", e->ssh ? "ssh " : "", (int)e->profile.len, e->profile.p);
    table_add(&l->table, "%.*s", (int)e->label.len, e->label.p);
    table_add(&l->table, "%s", pem_time_text(e->not_after, until));
    if (e->revoked != 0)
        table_add(&l->table, "revoked: %s", reason != NULL ? reason : "?");
    else
        table_add(&l->table, "%s", ca_left(e->not_after, l->now, left));
    table_add(&l->table, "%.*s", (int)e->names.len, e->names.p);
    return 0;
}

int ca_list_form(const struct ca_options *o)
{
    static const char *const head[] = {"SERIAL", "FOR", "NAME", "UNTIL", "LEFT", "NAMES"};
    struct listing l = {.now = ca_now(),
                        .table = {.columns = ARRAY_LEN(head), .first = true},
                        .array = o->json ? json_array() : NULL};
    struct err err;
    struct authority *a = ca_open(o, false);
    if (a == NULL) {
        json_decref(l.array);
        return CMD_FAILED;
    }
    for (size_t i = 0; i < ARRAY_LEN(head) && !o->json; i++)
        table_add(&l.table, "%s", head[i]);
    int rc = authority_each(a, o->all ? 0 : l.now, add_row, &l, &err);
    ca_warn_of_end(a);
    authority_close(a);
    if (o->json && rc == 0)
        return ca_print_json(l.array);
    json_decref(l.array);
    table_end(&l.table, stdout);
    return rc < 0 ? cmd_failed("%s", err.text) : CMD_OK;
}

/* ---- show ---- */

#define HEAD_TEXT (32 + 2 * AUTHORITY_HASH)

/* "ROW:HASH" */
static void head_text(const struct authority_head *head, char ret[HEAD_TEXT])
{
    size_t n = (size_t)snprintf(ret, HEAD_TEXT, "%" PRId64 ":", head->row);
    for (size_t i = 0; i < AUTHORITY_HASH; i++)
        n += (size_t)snprintf(ret + n, HEAD_TEXT - n, "%02x", head->hash[i]);
}

struct counts {
    int64_t now;
    json_int_t issued, valid, revoked;
    char head[HEAD_TEXT];
};

static int count(void *arg, const struct authority_entry *e, struct err *err)
{
    struct counts *c = arg;
    (void)err;
    c->issued++;
    c->revoked += e->revoked != 0;
    c->valid += e->revoked == 0 && e->not_after > c->now;
    return 0;
}

static json_t *certificate_json(const struct authority_certificate *c)
{
    char until[PEM_TIME_MAX];
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o}", "file", c->file, "name", c->name, "key", c->key,
                     "not_after", pem_time_text(c->not_after, until), "ending", c->ending, "sha256",
                     c->sha256, "token", c->token[0] != '\0' ? json_string(c->token) : json_null());
}

static void tell_certificate(const char *what, const struct authority_certificate *c, int64_t now)
{
    char until[PEM_TIME_MAX], left[32];
    printf("%s: %s, %s, until %s (%s)\n  %s, SHA-256 %s\n", what, c->name, c->key,
           pem_time_text(c->not_after, until), ca_left(c->not_after, now, left), c->file, c->sha256);
    if (c->token[0] != '\0')
        printf("  its key is %s\n", c->token);
}

static void tell_earlier_roots(const struct authority *a)
{
    struct x509_st *root;
    char name[PEM_NAME_MAX], until[PEM_TIME_MAX];
    for (size_t i = 0; (root = authority_earlier_root(a, i)) != NULL; i++)
        printf("before it: %s, until %s\n", pem_subject_text(root, name),
               pem_time_text(authority_end(root), until));
}

/* Those before it that still answer for what they have issued. */
static void tell_earlier(const struct authority *a)
{
    struct authority_issuer issuer;
    char name[PEM_NAME_MAX], until[PEM_TIME_MAX];
    for (size_t i = 1; authority_issuer(a, i, &issuer); i++)
        printf("before it: %s, until %s, CRL crl%s.der\n", pem_subject_text(issuer.cert, name),
               pem_time_text(authority_end(issuer.cert), until), issuer.suffix);
}

/* Of the keys that it issues with; some may be in one place, and some in another. */
static void tell_keys(const struct authority_facts *f)
{
    const char *const places[] = {f->in_token ? "in a token" : NULL, f->locked ? "encrypted" : NULL,
                                  f->plain ? "not encrypted" : NULL};
    const char *before = "keys: ";
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i] == NULL)
            continue;
        printf("%s%s", before, places[i]);
        before = ", others ";
    }
    printf("\n");
}

static int tell(const struct authority *a, const struct authority_facts *f, const struct counts *c)
{
    tell_certificate("root", &f->root, c->now);
    tell_earlier_roots(a);
    tell_certificate("intermediate", &f->intermediate, c->now);
    tell_earlier(a);
    printf("may issue for: %s\n", f->permitted[0] != '\0' ? f->permitted : "all names");
    tell_keys(f);
    printf("CRL and OCSP: %s\n", f->url[0] != '\0' ? f->url : "no address in certificates");
    char until[PEM_TIME_MAX];
    if (f->replace != 0)
        printf("to be replaced: what was issued until %s\n", pem_time_text(f->replace, until));
    printf("issued: %" JSON_INTEGER_FORMAT ", valid: %" JSON_INTEGER_FORMAT ", revoked: %" JSON_INTEGER_FORMAT
           "\n",
           c->issued, c->valid, c->revoked);
    printf("head of the log: %s\n", c->head);
    return CMD_OK;
}

static int tell_json(const struct authority_facts *f, const struct counts *c)
{
    char until[PEM_TIME_MAX];
    return ca_print_json(json_pack("{s:o, s:o, s:I, s:s, s:b, s:s, s:s*, s:I, s:I, s:I, s:s}", "root",
                                   certificate_json(&f->root), "intermediate",
                                   certificate_json(&f->intermediate), "issuers", (json_int_t)f->issuers,
                                   "permitted", f->permitted, "locked", f->locked, "url", f->url, "replace",
                                   f->replace == 0 ? NULL : pem_time_text(f->replace, until), "issued",
                                   c->issued, "valid", c->valid, "revoked", c->revoked, "head", c->head));
}

int ca_show(const struct ca_options *o)
{
    struct counts c = {.now = ca_now()};
    struct authority_facts facts;
    struct authority_head head;
    struct err err;
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = authority_look(a, c.now, &facts, &err);
    if (rc == 0)
        rc = authority_each(a, 0, count, &c, &err);
    if (rc == 0)
        rc = authority_head(a, &head, &err);
    if (rc == 0) {
        head_text(&head, c.head);
        rc = o->json ? tell_json(&facts, &c) : tell(a, &facts, &c);
        ca_warn_of_end(a);
    }
    authority_close(a);
    return rc < 0 ? cmd_failed("%s", err.text) : CMD_OK;
}

/* ---- audit ---- */

/* "ROW:HASH" */
static bool parse_head(const char *text, struct authority_head *ret)
{
    char number[24];
    uint64_t row;
    const char *colon = strchr(text, ':');
    if (colon == NULL || !str_copy(number, sizeof(number), text, (size_t)(colon - text)) ||
        !str_u64(number, INT64_MAX, &row) || strlen(colon + 1) != 2 * AUTHORITY_HASH)
        return false;
    ret->row = (int64_t)row;
    for (size_t i = 0; i < AUTHORITY_HASH; i++) {
        int high = hex_digit(colon[1 + 2 * i]), low = hex_digit(colon[2 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        ret->hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int tell_head(const struct authority_head *head, bool json)
{
    char text[HEAD_TEXT];
    head_text(head, text);
    if (json)
        return ca_print_json(json_pack("{s:I, s:s}", "rows", (json_int_t)head->row, "head", text));
    printf("the log is whole, %" PRId64 " rows\nhead %s\n", head->row, text);
    return CMD_OK;
}

int ca_audit(const struct ca_options *o)
{
    struct authority_head known, head;
    struct err err;
    if (o->head != NULL && !parse_head(o->head, &known))
        return cmd_misused("ca", "found --head '%s', expected ROW:HASH as an earlier audit has printed it",
                           o->head);
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = authority_audit(a, o->head != NULL ? &known : NULL, &head, &err);
    authority_close(a);
    return rc < 0 ? cmd_failed("%s", err.text) : tell_head(&head, o->json);
}

/* ---- revoke ---- */

/* A serial number, or the file of the certificate that has it. */
static int find_serial(const char *word, struct ca_serial *ret, struct err *err)
{
    struct buf file = {0};
    if (ca_serial_parse(word, ret))
        return 0;
    if (file_read(word, CERT_FILE_MAX, &file, NULL, err) < 0)
        return err_prefix(err, "'%s' is no serial number", word);
    int rc = ca_serial_of_file(&file, ret, err);
    buf_free(&file);
    return rc < 0 ? err_prefix(err, "%s", word) : 0;
}

int ca_revoke(const struct ca_options *o)
{
    struct ca_serial serial;
    struct err err;
    char who[64], text[CA_SERIAL_TEXT];
    if (find_serial(o->words.at[0], &serial, &err) < 0)
        return cmd_failed("%s", err.text);
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    enum authority_revoked result = authority_revoke(a, &serial, o->reason, ca_who(who), ca_now(), &err);
    authority_close(a);
    ca_serial_text(&serial, text);
    switch (result) {
    case AUTHORITY_REVOKED:
        printf("%s is revoked; a door that serves this CA tells of it at once, a CRL once it is made: cardea "
               "ca crl\n",
               text);
        return CMD_OK;
    case AUTHORITY_WAS_REVOKED:
        printf("%s was revoked before\n", text);
        return CMD_OK;
    case AUTHORITY_UNKNOWN:
        return cmd_failed("this CA has issued nothing with the serial number %s", text);
    default:
        return cmd_failed("%s", err.text);
    }
}

/* ---- crl, set ---- */

static int write_list(const struct ca_options *o, const struct buf *bytes)
{
    struct err err;
    if (o->out != NULL)
        return file_write_atomic(o->out, 0644, bytes->data, bytes->len, &err) < 0 ? cmd_failed("%s", err.text)
                                                                                  : CMD_OK;
    fwrite(bytes->data, 1, bytes->len, stdout);
    return fflush(stdout) == 0 ? CMD_OK : cmd_failed("standard output could not be written");
}

/* In PEM of all issuers, one behind the other; DER has room for one: that of who issues now. */
static int make_crls(struct authority *a, const struct ca_options *o, struct buf *ret, struct err *err)
{
    const int64_t lifetime = o->lifetime != 0 ? o->lifetime : CRL_LIFETIME;
    struct authority_issuer issuer;
    int rc = o->der ? authority_crl(a, 0, ca_now(), lifetime, ret, err) : 0;
    for (size_t i = 0; rc == 0 && !o->der && authority_issuer(a, i, &issuer); i++) {
        struct buf der = {0};
        if (authority_issuer_is_over(a, i, ca_now()))
            continue;
        rc = authority_crl(a, i, ca_now(), lifetime, &der, err);
        if (rc == 0 && !ca_put_pem(ret, "X509 CRL", der.data, der.len))
            rc = err_set(err, "out of memory");
        buf_free(&der);
    }
    return rc;
}

static int make_list(struct authority *a, const struct ca_options *o, struct buf *ret, struct err *err)
{
    return o->krl ? authority_ssh_krl(a, ca_now(), ret, err) : make_crls(a, o, ret, err);
}

int ca_crl(const struct ca_options *o)
{
    struct buf list = {0};
    struct err err;
    struct authority *a = ca_open(o, true);
    if (a == NULL)
        return CMD_FAILED;
    int status = make_list(a, o, &list, &err) < 0 ? cmd_failed("%s", err.text) : write_list(o, &list);
    authority_close(a);
    buf_free(&list);
    return status;
}

int ca_set(const struct ca_options *o)
{
    struct err err;
    char who[64];
    bool all = o->replace != NULL && strcmp(o->replace, "all") == 0;
    if (o->url == NULL && o->replace == NULL)
        return cmd_misused("ca", "set what? Give --url URL, or --url '' for none; or --replace all|none");
    if (o->replace != NULL && !all && strcmp(o->replace, "none") != 0)
        return cmd_misused("ca", "--replace %s: expected all or none", o->replace);
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = o->url == NULL ? 0 : authority_set_url(a, o->url, ca_who(who), ca_now(), &err);
    if (rc == 0 && o->replace != NULL)
        rc = authority_set_replace(a, all, ca_who(who), ca_now(), &err);
    authority_close(a);
    return rc < 0 ? cmd_failed("%s", err.text) : CMD_OK;
}
