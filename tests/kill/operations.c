/* SPDX-License-Identifier: Apache-2.0 */
/* operations MAKE|DO|CHECK OPERATION DIR: what the door's stores do, for test_kill_anywhere.py to kill at any
 * call. MAKE makes what DO starts from; CHECK looks through all of it and prints "old" or "new": whether DO
 * has done nothing or all. Anything between is an error. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/authority.h"
#include "ca/ca.h"
#include "keeper/candidates.h"
#include "keeper/staple_file.h"
#include "operations.h"
#include "session/staging.h"

/* ---- a file ---- */

static void write_file(const char *dir, char what)
{
    char text[BIG];
    memset(text, what, sizeof(text));
    must(file_write_atomic(in(dir, "file"), 0600, text, sizeof(text), &err) == 0);
}

static void file_make(const char *dir)
{
    write_file(dir, 'o');
}

static void file_do(const char *dir)
{
    write_file(dir, 'n');
}

static bool file_check(const char *dir)
{
    struct buf b = {0};
    mode_t mode;
    must(file_read(in(dir, "file"), BIG, &b, &mode, &err) == 0);
    CHECK(b.len == BIG && mode == 0600);
    for (size_t i = 0; i < b.len; i++)
        CHECK(b.data[i] == b.data[0]);
    bool is_new = b.data[0] == 'n';
    buf_free(&b);
    return is_new;
}

/* ---- the CA ---- */

static const char *const sans[] = {"www.example.com"};

static struct authority *open_authority(const char *dir)
{
    struct authority *a = authority_open(in(dir, "ca"), &err);
    must(a != NULL && authority_unlock(a, NULL, &err) == 0);
    return a;
}

static void issue(struct authority *a, struct ca_serial *ret_serial)
{
    struct ca_request request = {.sans = sans, .sans_len = 1, .now = time(NULL)};
    struct ca *leaf = authority_issue(a, CA_PROFILE_SERVER, &request, "cli:test", &err);
    must(leaf != NULL);
    *ret_serial = ca_serial(leaf);
    ca_free(leaf);
}

static void authority_make(const char *dir)
{
    struct authority_plan plan = {.name = "Test", .root_passphrase = str_of("correct horse")};
    struct ca_serial serial;
    must(authority_init(in(dir, "ca"), &plan, time(NULL), &err) == 0);
    struct authority *a = open_authority(dir);
    issue(a, &serial);
    authority_close(a);
}

static void issue_do(const char *dir)
{
    struct ca_serial serial;
    struct authority *a = open_authority(dir);
    issue(a, &serial);
    authority_close(a);
}

/* With a copy of the root's key that is not encrypted: that takes long, and is not what is killed here. */
static void renew_make(const char *dir)
{
    authority_make(dir);
    struct evp_pkey_st *root = key_read(in(dir, "ca/root.key"), str_of("correct horse"), &err);
    must(root != NULL && key_write(root, (struct str){0}, in(dir, "root.key"), &err) == 0);
    key_free(root);
}

static void renew_do(const char *dir)
{
    struct authority *a = open_authority(dir);
    const struct authority_renewal renewal = {.any_kind = true, .root_key = in(dir, "root.key")};
    must(authority_renew(a, &renewal, "cli:test", time(NULL), &err) == 0);
    authority_close(a);
}

/* With the old intermediate or with the new one, it issues. */
static bool renew_check(const char *dir)
{
    struct authority_issuer issuer;
    struct authority_head head;
    struct ca_serial serial;
    struct authority *a = open_authority(dir);
    bool is_new = authority_issuer(a, 1, &issuer);
    issue(a, &serial);
    must(authority_audit(a, NULL, &head, &err) == 0);
    authority_close(a);
    return is_new;
}

struct seen {
    int issued, revoked;
    struct ca_serial first;
};

static int see(void *arg, const struct authority_entry *entry, struct err *ret_err)
{
    struct seen *s = arg;
    (void)ret_err;
    if (s->issued++ == 0)
        s->first = entry->serial;
    s->revoked += entry->revoked != 0;
    return 0;
}

/* The log verifies, and says the same as the tables. */
static struct seen look(const char *dir)
{
    struct seen s = {0};
    struct authority_head head;
    struct authority *a = open_authority(dir);
    must(authority_audit(a, NULL, &head, &err) == 0 && authority_each(a, 0, see, &s, &err) == 0);
    authority_close(a);
    return s;
}

static bool issue_check(const char *dir)
{
    struct seen s = look(dir);
    CHECK(s.issued == 1 || s.issued == 2);
    return s.issued == 2;
}

static void revoke_do(const char *dir)
{
    struct seen s = look(dir);
    struct authority *a = open_authority(dir);
    must(authority_revoke(a, &s.first, CA_REASON_KEY_COMPROMISE, "cli:test", time(NULL), &err) ==
         AUTHORITY_REVOKED);
    authority_close(a);
}

static bool revoke_check(const char *dir)
{
    struct seen s = look(dir);
    CHECK(s.issued == 1);
    return s.revoked == 1;
}

/* ---- candidates ---- */

static void save_certificate(const char *dir, const struct ca *root, const char *label)
{
    char file[32], key[32];
    snprintf(file, sizeof(file), "%s.pem", label);
    snprintf(key, sizeof(key), "%s.key", label);
    const struct ca_request request = {.sans = sans, .sans_len = 1, .lifetime = 86400};
    struct ca *leaf = ca_issue(root, CA_PROFILE_SERVER, &request, &err);
    must(leaf != NULL && ca_save(leaf, in(dir, file), in(dir, key), &err) == 0);
    ca_free(leaf);
}

static struct candidates *open_candidates(const char *dir)
{
    struct buf troubles = {0};
    struct candidates *c = candidates_open(dir, &troubles, &err);
    must(c != NULL);
    if (troubles.len > 0)
        must(!err_set(&err, "%s", buf_text(&troubles)));
    return c;
}

static void order(const char *dir, enum candidates_verb verb, const char *label)
{
    char file[32], key[32];
    snprintf(file, sizeof(file), "%s.pem", label);
    snprintf(key, sizeof(key), "%s.key", label);
    const struct candidates_order o = {
        .verb = verb, .label = label, .file = in(dir, file), .key = in(dir, key)};
    struct candidates *c = open_candidates(dir);
    must(candidates_order(c, &o, time(NULL), &err) == 0 && candidates_keep(c, &err) == 0);
    candidates_close(c);
}

static void candidates_make(const char *dir)
{
    struct ca *root =
        ca_create_root(&(struct ca_request){.name = "Root", .lifetime = INT64_C(7) * 86400}, &err);
    must(root != NULL);
    save_certificate(dir, root, "one");
    save_certificate(dir, root, "two");
    ca_free(root);
    order(dir, CANDIDATES_STAGE, "one");
    order(dir, CANDIDATES_PROMOTE, "one");
}

/* One is promoted, and perhaps there is a candidate; the files that a killed door has left behind go with the
 * next order. */
static bool is_staged(const char *dir)
{
    struct candidates *c = open_candidates(dir);
    struct staging *s = candidates_now(c, 0);
    bool staged = s->n == 2;
    CHECK(s->n >= 1 && s->n <= 2 && s->v[0].promoted && (!staged || !s->v[1].promoted));
    staging_unref(s);
    candidates_close(c);
    return staged;
}

static void stage_do(const char *dir)
{
    order(dir, CANDIDATES_STAGE, "two");
}

static void both_make(const char *dir)
{
    candidates_make(dir);
    stage_do(dir);
}

static void promote_do(const char *dir)
{
    order(dir, CANDIDATES_PROMOTE, "two");
}

/* The second takes the first one's place, and the first is kept for a rollback. */
static bool promote_check(const char *dir)
{
    if (is_staged(dir))
        return false;
    struct candidates *c = open_candidates(dir);
    struct staging *s = candidates_now(c, 0);
    CHECK(strcmp(s->v[0].label, "two") == 0);
    staging_unref(s);
    candidates_close(c);
    return true;
}

static void disable_do(const char *dir)
{
    order(dir, CANDIDATES_DISABLE, "two");
}

static bool disable_check(const char *dir)
{
    return !is_staged(dir);
}

/* ---- staples ---- */

#define STAPLE "0123-4567"

static void staple_keep(const char *dir, char what)
{
    char text[BIG];
    memset(text, what, sizeof(text));
    staple_file_keep(in(dir, "staples"), STAPLE, (struct str){text, sizeof(text)});
}

static void staple_make(const char *dir)
{
    staple_keep(dir, 'o');
}

static void staple_do(const char *dir)
{
    staple_keep(dir, 'n');
}

/* Which one is there, all of it; 0: none. */
static char staple_of(const char *dir)
{
    struct buf b = {0};
    staple_file_recall(in(dir, "staples"), STAPLE, &b);
    CHECK(b.len == 0 || b.len == BIG);
    char is = b.len == 0 ? 0 : (char)b.data[0];
    for (size_t i = 0; i < b.len; i++)
        CHECK(b.data[i] == (uint8_t)is);
    buf_free(&b);
    return is;
}

static bool staple_check(const char *dir)
{
    CHECK(staple_of(dir) != 0);
    return staple_of(dir) == 'n';
}

static bool staple_first_check(const char *dir)
{
    CHECK(staple_of(dir) != 'o');
    return staple_of(dir) == 'n';
}

/* ---- which ---- */

static const struct operation own_operations[] = {
    {"file", file_make, file_do, file_check},
    {"staple-first", nothing, staple_do, staple_first_check},
    {"staple-keep", staple_make, staple_do, staple_check},
    {"ca-issue", authority_make, issue_do, issue_check},
    {"ca-revoke", authority_make, revoke_do, revoke_check},
    {"ca-renew", renew_make, renew_do, renew_check},
    {"candidate-stage", candidates_make, stage_do, is_staged},
    {"candidate-promote", both_make, promote_do, promote_check},
    {"candidate-disable", both_make, disable_do, disable_check},
    {0},
};

static const struct operation *find(const char *name)
{
    static const struct operation *const all[] = {own_operations, book_operations, acme_operations,
                                                  login_operations};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (const struct operation *o = all[i]; o->name != NULL; o++)
            if (strcmp(name, o->name) == 0)
                return o;
    return NULL;
}

int main(int argc, char **argv)
{
    const struct operation *o = argc == 4 ? find(argv[2]) : NULL;
    if (o == NULL) {
        fprintf(stderr, "usage: operations make|do|check OPERATION DIR\n");
        return 2;
    }
    if (strcmp(argv[1], "make") == 0)
        o->make(argv[3]);
    else if (strcmp(argv[1], "do") == 0)
        o->run(argv[3]);
    else
        puts(o->is_new(argv[3]) ? "new" : "old");
    return 0;
}
