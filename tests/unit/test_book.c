/* SPDX-License-Identifier: Apache-2.0 */
/* keeper/book.h: what goes in comes out, what belongs together changes together. */
#include <sys/stat.h>

#include "pki.h"

#include "keeper/book.h"

#define T INT64_C(1800000000)
#define DAY INT64_C(86400)

static struct err err;

static struct book *open_book(const char *name)
{
    struct book *b = book_open(pki_path(name), &err);
    if (b == NULL)
        fail_msg("%s", err.text);
    return b;
}

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static int64_t add(struct book *b, const char *const *names, size_t n)
{
    struct book_lineage what = {.names = names, .names_len = n, .key_kind = "", .profile = ""};
    int64_t id = book_add(b, &what, &err);
    if (id < 0)
        fail_msg("%s", err.text);
    return id;
}

static struct lineage lineage_of(int64_t id)
{
    return (struct lineage){.id = id, .rule = {.cas = {1, 0}, .cas_len = 2, .backup = LIFE_ANY_BACKUP}};
}

/* A certificate that nobody could use, of the n-th key. */
static struct book_certificate certificate(unsigned n)
{
    struct book_certificate c = {.chain = str_of("chain"), .key = str_of("key")};
    memcpy(c.pin, &n, sizeof(n));
    c.issued = T + n;
    c.not_before = T;
    c.not_after = T + 90 * DAY;
    c.ca = 1;
    return c;
}

static int put(struct book *b, struct lineage *l, int slot, const struct book_certificate *c)
{
    struct life_slot *s = &l->state.slot[slot];
    s->held = true;
    s->ca = c->ca;
    s->issued = c->issued;
    s->not_before = c->not_before;
    s->not_after = c->not_after;
    return book_put(b, l, T + 5, slot, c, &err);
}

static void modes(void **unused)
{
    (void)unused;
    struct stat st;
    umask(0);
    struct book *b = open_book("modes");
    assert_int_equal(stat(pki_path("modes"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(pki_path("modes/certificates.db"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    book_close(b);
    assert_null(book_open(pki_path("no/such"), &err));
    assert_non_null(strstr(err.text, "no/such"));
}

static int note_ca(void *arg, const struct book_ca *ca, struct err *ret_err)
{
    struct buf *out = arg;
    (void)ret_err;
    assert_true(buf_printf(out, "%u %.*s %lld %u %.*s %zu\n", ca->number, (int)ca->url.len, ca->url.p,
                           (long long)ca->state.until, ca->state.failures, (int)ca->account.len,
                           ca->account.p, ca->account_key.len));
    return 0;
}

static void cas(void **unused)
{
    (void)unused;
    struct buf out = {0};
    struct book *b = open_book("cas");
    assert_int_equal(book_add_ca(b, "https://a.example/directory", &err), 0);
    assert_int_equal(book_add_ca(b, "https://b.example/directory", &err), 1);
    assert_int_equal(book_add_ca(b, "https://a.example/directory", &err), 0);
    struct life_ca_state held = {.until = T, .failures = 3};
    assert_int_equal(book_save_ca(b, 1, &held, &err), 0);
    assert_int_equal(book_save_account(b, 0, str_of("https://a.example/acct/1"), str_of("secret"), &err), 0);
    book_close(b);
    b = open_book("cas");
    assert_int_equal(book_each_ca(b, note_ca, &out, &err), 0);
    assert_string_equal(buf_text(&out), "0 https://a.example/directory 0 0 https://a.example/acct/1 6\n"
                                        "1 https://b.example/directory 1800000000 3  0\n");
    buf_free(&out);
    book_close(b);
}

static int note_lineage(void *arg, const struct book_lineage *l, int64_t due, struct err *ret_err)
{
    struct buf *out = arg;
    (void)ret_err;
    assert_true(buf_printf(out, "%lld:", (long long)due));
    for (size_t i = 0; i < l->names_len; i++)
        assert_true(buf_printf(out, " %s", l->names[i]));
    return buf_printf(out, " %s/%s%s\n", l->key_kind, l->profile, l->on_demand ? " on demand" : "") ? 0 : -1;
}

static void names(void **unused)
{
    (void)unused;
    static const char *const one[] = {"b.example.com", "a.example.com"};
    static const char *const same[] = {"a.example.com", "b.example.com"};
    static const char *const wild[] = {"*.example.com"};
    int64_t found[BOOK_FOUND_MAX];
    struct buf out = {0};
    struct book *b = open_book("names");
    int64_t id = add(b, one, 2), any = add(b, wild, 1);
    assert_int_equal(add(b, same, 2), id);
    struct book_lineage rsa = {
        .names = one, .names_len = 1, .key_kind = "rsa", .profile = "short", .on_demand = true};
    int64_t other = book_add(b, &rsa, &err);
    assert_true(other > 0 && other != id);
    assert_int_equal(book_find(b, str_of("a.example.com"), found, &err), 1);
    assert_int_equal(found[0], id);
    assert_int_equal(book_find(b, str_of("b.example.com"), found, &err), 2);
    assert_int_equal(book_find(b, str_of("c.example.com"), found, &err), 1);
    assert_int_equal(found[0], any);
    assert_int_equal(book_find(b, str_of("d.c.example.com"), found, &err), 0);
    assert_int_equal(book_find(b, str_of("example"), found, &err), 0);
    struct lineage l = lineage_of(id);
    assert_int_equal(book_save(b, &l, T, &err), 0);
    assert_int_equal(book_each_demanded(b, T, 2, note_lineage, &out, &err), 0); /* nobody knows the new one */
    const struct book_order order = {.url = str_of("https://a.example/order/1"), .key = str_of("key")};
    assert_int_equal(book_save_order(b, other, &order, &err), 0);
    assert_int_equal(book_each_demanded(b, T, 2, note_lineage, &out, &err), 1); /* ... but its CA */
    buf_free(&out);
    assert_int_equal(book_get(b, other, note_lineage, &out, &err), 1);
    assert_int_equal(book_get(b, id, note_lineage, &out, &err), 1);
    assert_int_equal(book_get(b, 77, note_lineage, &out, &err), 0);
    assert_string_equal(buf_text(&out), "0: b.example.com rsa/short on demand\n"
                                        "1800000000: a.example.com b.example.com /\n");
    buf_free(&out);
    assert_int_equal(book_remove(b, &id, 1, &err), 0);
    assert_int_equal(book_find(b, str_of("a.example.com"), found, &err), 1);
    assert_int_equal(found[0], any);
    book_close(b);
}

static void state_comes_back(void **unused)
{
    (void)unused;
    static const char *const one[] = {"state.example.com"};
    struct book *b = open_book("state");
    struct lineage l = lineage_of(add(b, one, 1));
    struct life_state back, none = {0};
    assert_int_equal(book_load(b, l.id, &l.rule, &back, &err), 0);
    assert_memory_equal(&back, &none, sizeof(back));
    l.state.active = 1;
    l.state.swapped = LIFE_SWAP_ARI;
    l.state.swapped_at = T;
    l.state.used = T - 1;
    l.state.hold[0] = (struct life_hold){T + 7, 3};
    l.state.hold[1] = (struct life_hold){T + 8, 4};
    l.state.slot[0].failure = LIFE_RATE_LIMITED;
    l.state.slot[0].failures = 9;
    struct book_certificate c = certificate(1);
    assert_int_equal(put(b, &l, 1, &c), 0);
    l.state.slot[1].staple_next = T + DAY;
    assert_int_equal(book_save_staple(b, &l, T, 1, str_of("staple"), &err), 0);
    assert_int_equal(book_save_explanation(b, l.id, 1, str_of("https://a.example/why"), &err), 0);
    book_close(b);
    b = open_book("state");
    assert_int_equal(book_load(b, l.id, &l.rule, &back, &err), 1);
    assert_memory_equal(&back, &l.state, sizeof(back));
    struct life_rule turned = {.cas = {0, 1}, .cas_len = 2}; /* another order of preference */
    assert_int_equal(book_load(b, l.id, &turned, &back, &err), 1);
    assert_int_equal(back.hold[0].until, T + 8);
    struct book_copy copy;
    assert_int_equal(book_certificate(b, l.id, 1, &copy, &err), 1);
    assert_true(str_is(copy.is.key, "key") && str_is(copy.is.chain, "chain"));
    assert_true(str_is(copy.staple, "staple") && str_is(copy.explanation, "https://a.example/why"));
    assert_memory_equal(copy.is.pin, c.pin, sizeof(c.pin));
    book_copy_free(&copy);
    assert_int_equal(book_certificate(b, l.id, 0, &copy, &err), 0);
    assert_int_equal(book_check(b, &err), 1);
    struct lineage stranger = lineage_of(99);
    assert_int_equal(book_save(b, &stranger, T, &err), -1);
    assert_string_equal(err.text, "the book has no lineage 99");
    book_close(b);
}

static void one_takes_the_place_of_another(void **unused)
{
    (void)unused;
    static const char *const one[] = {"old.example.com"};
    struct book *b = open_book("place");
    struct lineage l = lineage_of(add(b, one, 1));
    struct book_copy copy;
    for (unsigned n = 1; n <= 3; n++) {
        struct book_certificate c = certificate(n);
        assert_int_equal(put(b, &l, 0, &c), 0);
        assert_int_equal(book_certificate(b, l.id, 0, &copy, &err), 1);
        assert_int_equal(copy.is.issued, T + n);
        assert_int_equal(copy.staple.len, 0); /* a staple does not outlive its certificate */
        book_copy_free(&copy);
        assert_int_equal(book_save_staple(b, &l, T, 0, str_of("staple"), &err), 0);
        assert_int_equal(book_check(b, &err), 1);
    }
    /* Nobody's key is anybody else's. Nothing changes then. */
    struct book_certificate again = certificate(3);
    struct lineage before = l;
    assert_int_equal(put(b, &l, 1, &again), -1);
    assert_string_equal(err.text,
                        "the key of the new certificate is that of another one in the book: each certificate "
                        "needs a key of its own");
    struct life_state back;
    assert_int_equal(book_load(b, l.id, &l.rule, &back, &err), 1);
    assert_memory_equal(&back, &before.state, sizeof(back));
    assert_int_equal(book_remove(b, &l.id, 1, &err), 0);
    assert_int_equal(book_check(b, &err), 0);
    book_close(b);
}

static void orders_under_way(void **unused)
{
    (void)unused;
    static const char *const one[] = {"order.example.com"};
    struct book *b = open_book("orders");
    struct lineage l = lineage_of(add(b, one, 1));
    struct book_order order = {.slot = 1, .ca = 2, .url = str_of("https://a.example/1"), .key = str_of("k")};
    struct book_order back;
    struct buf space = {0};
    assert_int_equal(book_order(b, l.id, &back, &space, &err), 0);
    assert_int_equal(book_save_order(b, l.id, &order, &err), 0);
    order.url = str_of("https://a.example/2");
    order.key = str_of("another");
    assert_int_equal(book_save_order(b, l.id, &order, &err), 0);
    book_close(b);
    b = open_book("orders");
    assert_int_equal(book_order(b, l.id, &back, &space, &err), 1);
    assert_true(back.slot == 1 && back.ca == 2 && str_is(back.url, "https://a.example/2") &&
                str_is(back.key, "another"));
    buf_free(&space);
    /* It is over with its certificate, when it is ended, and with its lineage. */
    struct book_certificate c = certificate(1);
    assert_int_equal(put(b, &l, 1, &c), 0);
    assert_int_equal(book_order(b, l.id, &back, &space, &err), 0);
    assert_int_equal(book_save_order(b, l.id, &order, &err), 0);
    assert_int_equal(book_end_order(b, l.id, &err), 0);
    assert_int_equal(book_order(b, l.id, &back, &space, &err), 0);
    assert_int_equal(book_save_order(b, l.id, &order, &err), 0);
    assert_int_equal(book_remove(b, &l.id, 1, &err), 0);
    assert_int_equal(book_order(b, l.id, &back, &space, &err), 0);
    assert_int_equal(book_save_order(b, l.id, &order, &err), -1); /* nobody's */
    book_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(cas),
        cmocka_unit_test(names),
        cmocka_unit_test(state_comes_back),
        cmocka_unit_test(one_takes_the_place_of_another),
        cmocka_unit_test(orders_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
