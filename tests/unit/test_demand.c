/* SPDX-License-Identifier: Apache-2.0 */
/* Names on demand: who is permitted what, and a book of a hundred thousand of them. */
#include <malloc.h>
#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <sqlite3.h>

#include "pki.h"

#include "base/clock.h"
#include "cert/issued.h"
#include "config/config.h"
#include "keeper/asker.h"
#include "keeper/book.h"
#include "keeper/demand.h"
#include "keeper/obtainer.h"
#include "keeper/permit.h"
#include "web/challenges.h"

#define NAMES 100000
#define MINUTE (60 * NSEC_PER_SEC)

static struct err err;
static struct config_text patterns[] = {{.text = "*.example.com"}, {.text = "alone"}};
static struct config_acme_ca cas[] = {{.url = {.text = "https://ca.example.com/directory"}}};

static struct config_acme usual(void)
{
    return (struct config_acme){.names = {patterns, 2},
                                .from = {cas, 1},
                                .backup_from = CONFIG_NO_BACKUP,
                                .refused_for = 10 * MINUTE,
                                .failed_for = MINUTE,
                                .ask_timeout = NSEC_PER_SEC,
                                .orders_per_minute = 10,
                                .asks_per_minute = 30,
                                .asks_per_source = 20,
                                .asks_at_once = 16,
                                .orders_at_once = 64};
}

/* ---- permission ---- */

static enum permit_verdict judge(struct permit *p, const char *name, const char *from, int64_t now)
{
    struct net_addr peer = {0};
    const char *why = NULL;
    int64_t remembered = 0;
    assert_true(net_addr_parse(from, 1, &peer));
    enum permit_verdict v = permit_judge(p, name, &peer, now, &why, &remembered);
    if (v == PERMIT_NO || v == PERMIT_BUSY)
        assert_true(why != NULL && remembered > 0);
    return v;
}

static void test_permit_patterns(void **state)
{
    static const struct {
        const char *name;
        enum permit_verdict verdict;
    } rows[] = {{"a.example.com", PERMIT_YES},   {"example.com", PERMIT_NO}, {"a.b.example.com", PERMIT_NO},
                {"alone", PERMIT_YES},           {"lonely", PERMIT_NO},      {"aexample.com", PERMIT_NO},
                {"a.example.com.org", PERMIT_NO}};
    struct config_acme c = usual();
    struct permit *p = permit_new(&c, &err);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(judge(p, rows[i].name, "192.0.2.1", 0), rows[i].verdict);
    permit_free(p);
}

/* However many names are invented, so many are asked about; of one source, or one site of IPv6, fewer. */
static void test_permit_rates(void **state)
{
    struct config_acme c = usual();
    c.ask.text.text = "http://127.0.0.1/";
    struct permit *p = permit_new(&c, &err);
    size_t asked = 0;
    char name[64], from[64];
    (void)state;
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "n%d.example.org", i);
        snprintf(from, sizeof(from), "2001:db8:0:1::%x", i);
        asked += judge(p, name, from, 5) == PERMIT_ASK;
    }
    assert_int_equal(asked, 20);
    for (int i = 0; i < 10000; i++) {
        snprintf(from, sizeof(from), "192.0.%d.%d", i / 256, i % 256);
        asked += judge(p, name, from, 5) == PERMIT_ASK;
    }
    assert_int_equal(asked, 30);
    assert_int_equal(judge(p, "localhost", "198.51.100.1", 2 * MINUTE), PERMIT_NO);
    assert_int_equal(judge(p, name, "2001:db8:0:1::1", 2 * MINUTE), PERMIT_ASK);
    for (int i = 0; i < 10; i++)
        assert_true(permit_order(p, 2 * MINUTE));
    assert_false(permit_order(p, 2 * MINUTE));
    assert_int_equal(judge(p, name, "198.51.100.1", 2 * MINUTE), PERMIT_BUSY);
    assert_true(permit_order(p, 2 * MINUTE + MINUTE / 9));
    permit_free(p);
}

/* Those whose addresses may be made up are one source, and no other's. */
static void test_permit_of_nobody(void **state)
{
    struct config_acme c = usual();
    c.ask.text.text = "http://127.0.0.1/";
    struct permit *p = permit_new(&c, &err);
    const struct net_addr nobody = {.family = AF_UNSPEC, .ip = {192, 0, 2, 1}};
    const char *why;
    int64_t remembered;
    char name[64];
    (void)state;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "n%d.example.org", i);
        assert_int_equal(permit_judge(p, name, &nobody, 5, &why, &remembered),
                         i < 20 ? PERMIT_ASK : PERMIT_BUSY);
    }
    assert_int_equal(judge(p, name, "192.0.2.1", 5), PERMIT_ASK);
    permit_free(p);
}

static void test_permit_remembers(void **state)
{
    struct config_acme c = usual();
    struct permit *p = permit_new(&c, &err);
    (void)state;
    permit_refuse(p, "a.example.com", "for a reason", MINUTE);
    assert_int_equal(judge(p, "a.example.com", "192.0.2.1", MINUTE - 1), PERMIT_NO);
    assert_int_equal(judge(p, "b.example.com", "192.0.2.1", MINUTE - 1), PERMIT_YES);
    assert_int_equal(judge(p, "a.example.com", "192.0.2.1", MINUTE), PERMIT_YES);
    permit_refuse(p, "a.example.com", "for a reason", 9 * MINUTE);
    permit_forget(p, "a.example.com");
    assert_int_equal(judge(p, "a.example.com", "192.0.2.1", MINUTE), PERMIT_YES);
    permit_free(p);
}

/* ---- a large book ---- */

/* One real certificate, as every name's: what is measured is finding, not issuing. */
static void put_first(struct book *b)
{
    static uint8_t der[4096];
    const char *name = "n0.example.com";
    int64_t now = clock_wall() / NSEC_PER_SEC;
    struct ca *root = pki_root("demand");
    struct ca *leaf = pki_issue(
        root, CA_PROFILE_SERVER,
        (struct ca_request){
            .sans = &name, .sans_len = 1, .now = now, .not_before = now - 300, .lifetime = 90 * LIFE_DAY});
    struct life *life = life_new(&(struct life_settings){0});
    struct life_rule rule = {.cas_len = 1, .backup = LIFE_NO_BACKUP, .on_demand = true};
    struct book_lineage what = {
        .names = &name, .names_len = 1, .key_kind = "P-256", .profile = "", .on_demand = true};
    struct life_job job;
    struct issued facts;
    struct buf chain = {0};
    CBB key;
    size_t key_len;
    CBB_init_fixed(&key, der, sizeof(der));
    assert_true(ca_chain_pem(leaf, &chain) && EVP_marshal_private_key(&key, ca_private_key(leaf)));
    CBB_finish(&key, NULL, &key_len);
    struct book_certificate c = {
        .chain = {(const char *)chain.data, chain.len}, .key = {(const char *)der, key_len}, .issued = now};
    assert_int_equal(issued_read(c.chain, c.key, &facts, &err), 0);
    memcpy(c.pin, facts.pin, sizeof(c.pin));
    c.not_before = facts.not_before;
    c.not_after = facts.not_after;
    assert_int_equal(book_add_ca(b, cas[0].url.text, &err), 0);
    life_add_ca(life, false, NULL);
    struct lineage *l = life_add(life, book_add(b, &what, &err), &rule, NULL, now);
    assert_true(life_next(life, now, &job) && job.task == LIFE_ORDER);
    life_issued(life, l, &(struct life_issue){facts.not_before, facts.not_after, false, false, false}, now);
    l->state.slot[0].ari_at = 0;
    assert_int_equal(book_put(b, l, now + 60 * LIFE_DAY, 0, &c, &err), 0);
    buf_free(&chain);
    life_free(life);
    ca_free(leaf);
    ca_free(root);
}

/* Copies of the first one; a few of them are due. */
static void multiply(const char *path)
{
    static const char sql[] =
        "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
        " SELECT i FROM c; CREATE TEMP TABLE l AS SELECT * FROM lineage; CREATE TEMP TABLE s AS SELECT * "
        "FROM slot;"
        "CREATE TEMP TABLE k AS SELECT * FROM certificate; BEGIN;"
        "INSERT INTO lineage (id, what, key_kind, profile, on_demand, due, used, saved) SELECT i, 'n' || (i "
        "- 1) ||"
        " '.example.com /P-256/', 'P-256', '', 1, CASE WHEN i < 3000 THEN 1 ELSE l.due END, l.used, 1 FROM "
        "n, "
        "l;"
        "INSERT INTO name SELECT 'n' || (i - 1) || '.example.com', i FROM n;"
        "INSERT INTO certificate (lineage, slot, ca, issued, not_before, not_after, pin, chain, key)"
        " SELECT i, slot, ca, issued, not_before, not_after, randomblob(32), chain, key FROM n, k;"
        "INSERT INTO slot (lineage, slot, held, ca, issued, not_before, not_after, renew_at)"
        " SELECT i, slot, held, ca, issued, not_before, not_after, renew_at FROM n, s WHERE s.slot = 0; "
        "COMMIT;";
    char text[sizeof(sql) + 32], *why = NULL;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(text, sizeof(text), sql, NAMES);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static size_t answered, found;

static void on_answered(struct cert_question *q)
{
    answered++;
    found += q->answer.count;
    cert_answer_done(&q->answer);
}

static void ignore(struct cert_source *s)
{
    (void)s;
}

/* Microseconds that the answer takes. */
static double ask(struct demand *d, struct loop *loop, const char *name)
{
    static const struct cert_source_ops ops = {.free = ignore};
    struct cert_source source;
    struct cert_question q = {.home = loop, .answered = on_answered, .source = &source};
    cert_source_init(&source, &ops);
    str_copy(q.name, sizeof(q.name), name, strlen(name));
    assert_true(net_addr_parse("192.0.2.1", 1, &q.peer));
    int64_t begun = clock_monotonic();
    assert_true(demand_ask(d, &q));
    while (loop_settle(loop))
        ;
    return (double)(clock_monotonic() - begun) / 1000;
}

static void notice(void *arg, const struct err *text)
{
    (void)arg;
    print_message("%s\n", text->text);
}

static void retired(void *arg, struct cert_staple *staple)
{
    (void)arg;
    cert_staple_free(staple);
}

static void changed(void *arg, const char *name)
{
    (void)arg;
    (void)name;
}

static void test_a_large_book(void **state)
{
    struct config_acme c = usual();
    char name[64];
    (void)state;
    struct book *b = book_open(pki_path("large"), &err);
    put_first(b);
    book_close(b);
    multiply(pki_path("large/certificates.db"));

    size_t before = mallinfo2().uordblks;
    int64_t begun = clock_monotonic();
    struct loop *loop = loop_new(&err);
    struct challenges *challenges = challenges_new();
    struct demand_figures figures = {0};
    const struct asker_settings asking = {0};
    struct asker *asker = asker_new(loop, NULL, &asking);
    const struct obtainer_owner owner = {loop, challenges, notice, changed, retired, NULL};
    struct obtainer *o = obtainer_new(book_open(pki_path("large"), &err), NULL, asker, &owner);
    struct demands *all = demands_new(o, loop, &figures);
    struct demand *d = demand_new(all, demand_maker_new(&c, &err));
    print_message("%d names: started in %.1f ms, with %.1f kB\n", NAMES,
                  (double)(clock_monotonic() - begun) / 1e6, (double)(mallinfo2().uordblks - before) / 1024);
    snprintf(name, sizeof(name), "n%d.example.com", NAMES - 1);
    print_message("first lookup: %.0f us", ask(d, loop, name));
    print_message(", the same again: %.0f us\n", ask(d, loop, name));
    double sum = 0;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "n%d.example.com", 5000 + i * 47);
        sum += ask(d, loop, name);
    }
    print_message("2,000 others: %.0f us each, with %.1f kB in all\n", sum / 2000,
                  (double)(mallinfo2().uordblks - before) / 1024);
    assert_int_equal(answered, 2002);
    assert_int_equal(found, 2002);
    assert_int_equal(figures.names, 0); /* nothing is to be done for any: none is in memory */
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(figures.counts[DEMAND_ASKED] + figures.counts[DEMAND_ORDERED], 0);
    assert_int_equal(demands_forget(all, "n7000.example.com", &err), 1);
    assert_int_equal(demands_forget(all, "n7000.example.com", &err), 0);
    demands_stop(all);
    demand_free(d);
    demands_free(all);
    obtainer_free(o);
    asker_free(asker);
    challenges_free(challenges);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permit_patterns),  cmocka_unit_test(test_permit_rates),
        cmocka_unit_test(test_permit_of_nobody), cmocka_unit_test(test_permit_remembers),
        cmocka_unit_test(test_a_large_book),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
