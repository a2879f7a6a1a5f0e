/* SPDX-License-Identifier: Apache-2.0 */
/* Some weeks of short-lived certificates as they really are: issued by real CAs, kept in a real book, from
 * which the door is started anew again and again. At every hour what the book holds for each name is proven
 * like a client would. */
#include <openssl/bytestring.h>
#include <openssl/evp.h>

#include "pki.h"

#include "cert/issued.h"
#include "keeper/book.h"

#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define WEEKS 3
#define LIFE (6 * DAY)
#define LINEAGES 6
#define CAS 3

struct world {
    int64_t t;
    struct ca *ca[CAS];
    int64_t down_until[CAS];
    struct book *book;
    struct life *life;
    struct lineage *v[LINEAGES];
    int64_t id[LINEAGES];
    unsigned issued, restarts;
};

static struct err err;

static const struct life_rule rules[LINEAGES] = {
    {.cas = {0, 1}, .cas_len = 2, .backup = LIFE_ANY_BACKUP},
    {.cas = {1, 2, 0}, .cas_len = 3, .backup = 1},
    {.cas = {2, 0}, .cas_len = 2, .backup = LIFE_NO_BACKUP},
    {.cas = {0, 2}, .cas_len = 2, .backup = LIFE_ANY_BACKUP},
    {.cas = {1, 2}, .cas_len = 2, .backup = LIFE_NO_BACKUP},
    {.cas = {2, 1}, .cas_len = 2, .backup = LIFE_ANY_BACKUP},
};

static const char *name_of(int64_t i)
{
    static char names[LINEAGES][32];
    snprintf(names[i], sizeof(names[i]), "n%d.example.com", (int)i);
    return names[i];
}

static int add_ca(void *arg, const struct book_ca *ca, struct err *ret_err)
{
    struct world *w = arg;
    (void)ret_err;
    assert_int_equal(life_add_ca(w->life, false, &ca->state), ca->number);
    return 0;
}

static void start(struct world *w)
{
    struct life_settings settings = {.seed = (uint64_t)w->t};
    w->book = book_open(pki_path("weeks"), &err);
    assert_non_null(w->book);
    w->life = life_new(&settings);
    for (int i = 0; i < CAS; i++) {
        char url[64];
        snprintf(url, sizeof(url), "https://ca%d.example/directory", i);
        assert_int_equal(book_add_ca(w->book, url, &err), i);
    }
    assert_int_equal(book_each_ca(w->book, add_ca, w, &err), 0);
    for (int i = 0; i < LINEAGES; i++) {
        struct life_state state;
        const char *names[] = {name_of(i)};
        struct book_lineage what = {.names = names, .names_len = 1, .key_kind = "P-256", .profile = ""};
        w->id[i] = book_add(w->book, &what, &err);
        int found = book_load(w->book, w->id[i], &rules[i], &state, &err);
        assert_true(found >= 0);
        w->v[i] = life_add(w->life, w->id[i], &rules[i], found == 1 ? &state : NULL, w->t);
    }
}

static void stop(struct world *w)
{
    life_free(w->life);
    book_close(w->book);
    w->restarts++;
}

static void order(struct world *w, const struct life_job *job, int i)
{
    static uint8_t der[4096];
    const char *sans[] = {name_of(i)};
    struct ca *leaf = pki_issue(w->ca[job->ca], CA_PROFILE_SERVER,
                                (struct ca_request){.sans = sans,
                                                    .sans_len = 1,
                                                    .now = w->t,
                                                    .not_before = w->t - 300,
                                                    .lifetime = LIFE,
                                                    .must_staple = i == 0});
    struct buf chain = {0};
    CBB key;
    size_t key_len;
    assert_true(ca_chain_pem(leaf, &chain));
    CBB_init_fixed(&key, der, sizeof(der));
    assert_int_equal(EVP_marshal_private_key(&key, ca_private_key(leaf)), 1);
    CBB_finish(&key, NULL, &key_len);
    struct issued facts;
    struct book_certificate c = {.chain = {(const char *)chain.data, chain.len},
                                 .key = {(const char *)der, key_len},
                                 .issued = w->t,
                                 .ca = job->ca};
    if (issued_read(c.chain, c.key, &facts, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(facts.must_staple, i == 0);
    memcpy(c.pin, facts.pin, sizeof(c.pin));
    c.not_before = facts.not_before;
    c.not_after = facts.not_after;
    struct life_issue issue = {facts.not_before, facts.not_after, facts.must_staple, facts.must_staple,
                               false};
    assert_true(life_takes(w->v[i], &issue, w->t));
    life_issued(w->life, w->v[i], &issue, w->t);
    if (book_put(w->book, w->v[i], life_due_of(w->v[i]), job->slot, &c, &err) < 0)
        fail_msg("%s", err.text);
    buf_free(&chain);
    ca_free(leaf);
    w->issued++;
}

static void work(struct world *w, const struct life_job *job)
{
    int i = 0;
    while (w->v[i] != job->lineage)
        i++;
    if (job->task == LIFE_ORDER && w->t >= w->down_until[job->ca]) {
        order(w, job, i);
    } else if (job->task == LIFE_ORDER) {
        life_failed(w->life, w->v[i], LIFE_UNREACHABLE, 0, w->t);
        struct life_ca_state ca = life_ca_state(w->life, job->ca);
        assert_int_equal(book_save_ca(w->book, job->ca, &ca, &err), 0);
        assert_int_equal(book_save(w->book, w->v[i], life_due_of(w->v[i]), &err), 0);
    } else if (job->task == LIFE_ASK_STATUS) {
        life_status(w->life, w->v[i], w->t % 11 == 3, w->t, w->t + DAY, w->t);
        assert_int_equal(book_save_staple(w->book, w->v[i], life_due_of(w->v[i]), job->slot,
                                          (struct str){"staple", 6}, &err),
                         0);
    } else {
        assert_int_equal(job->task, LIFE_SERVE);
        assert_int_equal(book_save(w->book, w->v[i], life_due_of(w->v[i]), &err), 0);
    }
}

/* As a client: by the name, at this time, up to the root of the CA. */
static void prove(struct world *w, int i)
{
    int64_t found[BOOK_FOUND_MAX];
    struct book_copy copy;
    struct issued facts;
    const char *name = name_of(i);
    assert_int_equal(book_find(w->book, (struct str){name, strlen(name)}, found, &err), 1);
    int slot = life_serves(w->v[i], w->t);
    assert_int_equal(book_certificate(w->book, found[0], slot, &copy, &err), 1);
    assert_int_equal(issued_read(copy.is.chain, copy.is.key, &facts, &err), 0);
    assert_memory_equal(facts.pin, copy.is.pin, sizeof(facts.pin));
    BIO *bio = BIO_new_mem_buf(copy.is.chain.p, (ossl_ssize_t)copy.is.chain.len);
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509_STORE *anchors = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(anchors, ca_x509(w->ca[copy.is.ca]));
    assert_int_equal(X509_STORE_CTX_init(ctx, anchors, leaf, NULL), 1);
    X509_VERIFY_PARAM_set_time_posix(X509_STORE_CTX_get0_param(ctx), w->t);
    X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), name, strlen(name));
    if (X509_verify_cert(ctx) != 1)
        fail_msg("%s at %lld: %s", name, (long long)w->t,
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(anchors);
    X509_free(leaf);
    BIO_free(bio);
    book_copy_free(&copy);
}

static void weeks(void **unused)
{
    (void)unused;
    struct world w = {.t = time(NULL)};
    struct life_job job;
    unsigned proven = 0;
    for (int i = 0; i < CAS; i++)
        w.ca[i] = pki_root("Some CA");
    start(&w);
    int64_t begin = w.t;
    for (unsigned hour = 0; hour < WEEKS * 7 * 24; hour++, w.t = begin + hour * HOUR) {
        if (hour % 200 == 100) /* a day and a half, each CA in its turn */
            w.down_until[hour / 200 % CAS] = w.t + DAY * 3 / 2;
        while (life_next(w.life, w.t, &job))
            work(&w, &job);
        if (hour % 31 == 7) {
            stop(&w);
            start(&w);
            while (life_next(w.life, w.t, &job))
                work(&w, &job);
        }
        for (int i = 0; i < LINEAGES; i++, proven++)
            prove(&w, i);
    }
    int64_t kept = book_check(w.book, &err);
    if (kept < 0)
        fail_msg("%s", err.text);
    assert_true(kept <= LINEAGES * LIFE_SLOTS);
    stop(&w);
    print_message("%u certificates issued, %u proven, %u restarts\n", w.issued, proven, w.restarts);
    assert_true(w.issued > LINEAGES * WEEKS * 7 / 4);
    for (int i = 0; i < CAS; i++)
        ca_free(w.ca[i]);
}

/* What the CA has sent is not what was asked for. */
static void not_issued_to_us(void **unused)
{
    (void)unused;
    struct issued facts;
    struct buf chain = {0};
    struct ca *root = pki_root("Some CA");
    assert_true(ca_chain_pem(root, &chain));
    struct str pem = {(const char *)chain.data, chain.len};
    assert_int_equal(issued_read(pem, (struct str){"key", 3}, &facts, &err), -1);
    assert_string_equal(err.text, "the certificate is for another key than the one that was made for it");
    assert_int_equal(issued_read((struct str){"nothing", 7}, (struct str){"key", 3}, &facts, &err), -1);
    assert_string_equal(err.text, "no certificate in PEM in what the CA has sent");
    for (size_t len = 0; len < pem.len; len++) /* cut anywhere */
        assert_int_equal(issued_read((struct str){pem.p, len}, (struct str){"key", 3}, &facts, &err), -1);
    buf_free(&chain);
    ca_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weeks), cmocka_unit_test(not_issued_to_us)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
