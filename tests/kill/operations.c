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
#include "keeper/book.h"
#include "keeper/candidates.h"
#include "session/staging.h"

#define T INT64_C(1800000000)
#define BIG 10000 /* bytes: more than two pages of the database */

static struct err err;

/* What `done` says went wrong. */
static void must(bool done)
{
    if (done)
        return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static const char *in(const char *dir, const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

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

/* ---- the book ---- */

static const char *const names[] = {"a.example.com", "b.example.com"};
static const struct life_rule rule = {.cas = {0, 1}, .cas_len = 2, .backup = LIFE_ANY_BACKUP};

static struct book *open_book(const char *dir)
{
    struct book *b = book_open(in(dir, "state"), &err);
    must(b != NULL);
    must(book_add_ca(b, "https://a.example/directory", &err) == 0);
    must(book_add_ca(b, "https://b.example/directory", &err) == 1);
    return b;
}

static struct lineage lineage_of(struct book *b)
{
    struct book_lineage what = {.names = names, .names_len = 2, .key_kind = "", .profile = ""};
    struct lineage l = {.id = book_add(b, &what, &err), .rule = rule};
    must(l.id > 0 && book_load(b, l.id, &rule, &l.state, &err) >= 0);
    return l;
}

/* A certificate of several pages whose chain, key and pin tell which it is. */
static void put(struct book *b, struct lineage *l, int slot, char which)
{
    static char chain[BIG], key[BIG];
    struct book_certificate c = {.chain = {chain, sizeof(chain)},
                                 .key = {key, sizeof(key)},
                                 .issued = T + which,
                                 .not_before = T,
                                 .not_after = T + 1000,
                                 .ca = (uint16_t)slot};
    memset(chain, which, sizeof(chain));
    memset(key, which, sizeof(key));
    memset(c.pin, which, sizeof(c.pin));
    l->state.slot[slot] = (struct life_slot){
        .held = true, .ca = c.ca, .issued = c.issued, .not_before = c.not_before, .not_after = c.not_after};
    must(book_put(b, l, T, slot, &c, &err) == 0);
}

/* Which certificate the slot has, all of it. */
static char which(struct book *b, const struct lineage *l, int slot)
{
    struct book_copy copy;
    int found = book_certificate(b, l->id, slot, &copy, &err);
    must(found >= 0);
    CHECK((found == 1) == l->state.slot[slot].held);
    if (found == 0)
        return 0;
    char is = copy.is.key.p[0];
    CHECK(copy.is.chain.len == BIG && copy.is.key.len == BIG && copy.is.pin[0] == (uint8_t)is);
    CHECK(copy.is.issued == T + is && l->state.slot[slot].issued == T + is);
    for (size_t i = 0; i < BIG; i++)
        CHECK(copy.is.chain.p[i] == is && copy.is.key.p[i] == is);
    book_copy_free(&copy);
    return is;
}

/* The order under way, whole: its first letter; 0: there is none. */
static char order_of(struct book *b, const struct lineage *l)
{
    struct book_order is;
    struct buf space = {0};
    int found = book_order(b, l->id, &is, &space, &err);
    must(found >= 0);
    char first = found == 1 ? is.url.p[0] : '\0';
    CHECK(found == 0 ||
          (str_is(is.url, first == 'n' ? "new" : "old") && str_is(is.key, first == 'n' ? "new" : "old")));
    buf_free(&space);
    return first;
}

static void book_make(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    put(b, &l, 0, 'a');
    put(b, &l, 1, 'p');
    must(book_save_staple(b, &l, T, 0, str_of("staple"), &err) == 0);
    must(book_save_account(b, 0, str_of("old"), str_of("old"), &err) == 0);
    const struct book_order order = {.url = str_of("old"), .key = str_of("old")};
    must(book_save_order(b, l.id, &order, &err) == 0);
    book_close(b);
}

static void put_do(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    put(b, &l, 0, 'n');
    book_close(b);
}

static bool put_check(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    struct book_copy copy;
    must(book_check(b, &err) == 2);
    char is = which(b, &l, 0);
    CHECK(is == 'n' || is == 'a');
    CHECK(which(b, &l, 1) == 'p');
    must(book_certificate(b, l.id, 0, &copy, &err) == 1);
    CHECK(str_is(copy.staple, is == 'n' ? "" : "staple"));
    book_copy_free(&copy);
    CHECK(order_of(b, &l) == (is == 'n' ? 0 : 'o'));
    book_close(b);
    return is == 'n';
}

/* An order takes the place of another, URL and key. */
static void order_do(const char *dir)
{
    struct book *b = open_book(dir);
    const struct lineage l = lineage_of(b);
    const struct book_order fresh = {.url = str_of("new"), .key = str_of("new")};
    must(book_save_order(b, l.id, &fresh, &err) == 0);
    book_close(b);
}

static bool order_check(const char *dir)
{
    struct book *b = open_book(dir);
    const struct lineage l = lineage_of(b);
    must(book_check(b, &err) == 2);
    char is = order_of(b, &l);
    CHECK(is == 'n' || is == 'o');
    book_close(b);
    return is == 'n';
}

/* Both slots change places, holds, failures: one transaction. */
static void save_do(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    l.state.active = 1;
    l.state.hold[0] = l.state.hold[1] = (struct life_hold){T + 9, 9};
    l.state.slot[0].failures = l.state.slot[1].failures = 9;
    must(book_save(b, &l, T + 9, &err) == 0);
    book_close(b);
}

static bool save_check(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    must(book_check(b, &err) > 0);
    bool is_new = l.state.active == 1;
    int want = is_new ? 9 : 0;
    CHECK(l.state.hold[0].failures == want && l.state.hold[1].failures == want);
    CHECK(l.state.slot[0].failures == want && l.state.slot[1].failures == want);
    CHECK(which(b, &l, 1) == 'p');
    book_close(b);
    return is_new;
}

static void account_do(const char *dir)
{
    struct book *b = open_book(dir);
    must(book_save_account(b, 0, str_of("new"), str_of("new"), &err) == 0);
    book_close(b);
}

static int read_account(void *arg, const struct book_ca *ca, struct err *ret_err)
{
    bool *is_new = arg;
    (void)ret_err;
    if (ca->number != 0)
        return 0;
    *is_new = str_is(ca->account, "new");
    CHECK(str_is(ca->account, *is_new ? "new" : "old") && str_is(ca->account_key, *is_new ? "new" : "old"));
    return 0;
}

static bool account_check(const char *dir)
{
    bool is_new = false;
    struct book *b = open_book(dir);
    must(book_check(b, &err) > 0 && book_each_ca(b, read_account, &is_new, &err) == 0);
    book_close(b);
    return is_new;
}

static void remove_do(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    must(book_remove(b, l.id, &err) == 0);
    book_close(b);
}

static bool remove_check(const char *dir)
{
    int64_t found[BOOK_FOUND_MAX];
    struct book *b = open_book(dir);
    int n = book_find(b, str_of(names[0]), found, &err);
    int64_t kept = book_check(b, &err);
    must(n >= 0 && kept >= 0);
    CHECK(book_find(b, str_of(names[1]), found, &err) == n);
    CHECK(kept == (n == 0 ? 0 : 2));
    book_close(b);
    return n == 0;
}

/* A book that is not there yet. */
static void nothing(const char *dir)
{
    (void)dir;
}

static void first_do(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    put(b, &l, 0, 'n');
    book_close(b);
}

static bool first_check(const char *dir)
{
    struct book *b = open_book(dir);
    struct lineage l = lineage_of(b);
    struct stat st;
    must(book_check(b, &err) >= 0);
    char is = which(b, &l, 0);
    CHECK(is == 0 || is == 'n');
    CHECK(stat(in(dir, "state/certificates.db"), &st) == 0 && (st.st_mode & 0777) == 0600);
    book_close(b);
    return is == 'n';
}

/* ---- the CA ---- */

static const char *const sans[] = {"www.example.com"};

static struct authority *open_authority(const char *dir)
{
    struct authority *a = authority_open(in(dir, "ca"), &err);
    must(a != NULL && authority_unlock(a, (struct str){0}, &err) == 0);
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

/* ---- which ---- */

static const struct {
    const char *name;
    void (*make)(const char *dir);
    void (*run)(const char *dir);
    bool (*is_new)(const char *dir);
} operations[] = {
    {"file", file_make, file_do, file_check},
    {"book-first", nothing, first_do, first_check},
    {"book-put", book_make, put_do, put_check},
    {"book-order", book_make, order_do, order_check},
    {"book-save", book_make, save_do, save_check},
    {"book-account", book_make, account_do, account_check},
    {"book-remove", book_make, remove_do, remove_check},
    {"ca-issue", authority_make, issue_do, issue_check},
    {"ca-revoke", authority_make, revoke_do, revoke_check},
    {"candidate-stage", candidates_make, stage_do, is_staged},
    {"candidate-promote", both_make, promote_do, promote_check},
    {"candidate-disable", both_make, disable_do, disable_check},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 4 && i < ARRAY_LEN(operations); i++) {
        if (strcmp(argv[2], operations[i].name) != 0)
            continue;
        if (strcmp(argv[1], "make") == 0)
            operations[i].make(argv[3]);
        else if (strcmp(argv[1], "do") == 0)
            operations[i].run(argv[3]);
        else
            puts(operations[i].is_new(argv[3]) ? "new" : "old");
        return 0;
    }
    fprintf(stderr, "usage: operations make|do|check OPERATION DIR\n");
    return 2;
}
