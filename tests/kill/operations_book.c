/* SPDX-License-Identifier: Apache-2.0 */
/* The book of certificates. */
#include <sys/stat.h>

#include "base/check.h"
#include "keeper/book.h"
#include "operations.h"

#define T INT64_C(1800000000)

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
    must(book_remove(b, &l.id, 1, &err) == 0);
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

/* ---- a name on demand is forgotten, of whichever profiles ---- */

static void demanded_make(const char *dir)
{
    static const char *const profiles[] = {"", "short", "long"};
    struct book *b = open_book(dir);
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct book_lineage what = {
            .names = names, .names_len = 1, .key_kind = "", .profile = profiles[i], .on_demand = true};
        struct lineage l = {.id = book_add(b, &what, &err), .rule = rule};
        must(l.id > 0 && book_load(b, l.id, &rule, &l.state, &err) >= 0);
        put(b, &l, 0, (char)('a' + i));
    }
    book_close(b);
}

static int find_demanded(struct book *b, int64_t ids[BOOK_FOUND_MAX])
{
    int n = book_find(b, str_of(names[0]), ids, &err);
    int64_t kept = book_check(b, &err);
    must(n >= 0 && kept >= 0);
    CHECK((n == 0 || n == 3) && kept == n);
    return n;
}

static void forget_do(const char *dir)
{
    int64_t ids[BOOK_FOUND_MAX];
    struct book *b = open_book(dir);
    must(book_remove(b, ids, find_demanded(b, ids), &err) == 0);
    book_close(b);
}

static bool forget_check(const char *dir)
{
    int64_t ids[BOOK_FOUND_MAX];
    struct book *b = open_book(dir);
    bool gone = find_demanded(b, ids) == 0;
    book_close(b);
    return gone;
}

const struct operation book_operations[] = {
    {"book-first", nothing, first_do, first_check},
    {"book-put", book_make, put_do, put_check},
    {"book-order", book_make, order_do, order_check},
    {"book-save", book_make, save_do, save_check},
    {"book-account", book_make, account_do, account_check},
    {"book-remove", book_make, remove_do, remove_check},
    {"book-forget", demanded_make, forget_do, forget_check},
    {0},
};
