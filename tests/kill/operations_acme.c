/* SPDX-License-Identifier: Apache-2.0 */
/* What the ACME server writes into acme.db, each of its acts by one request of a client's. */
#include "../unit/acme_played.h"
#include "acme/server_internal.h"
#include "operations.h"

#define NAMES "a.example.com b.example.com"

/* The server in `dir`, and a client whose key and next key are files beside it. */
struct stage {
    struct played world;
    struct player player;
    EVP_PKEY *next;
};

static EVP_PKEY *key_in(const char *dir, const char *name)
{
    const char *path = in(dir, name);
    FILE *f = fopen(path, "r");
    EVP_PKEY *key = f == NULL ? played_key() : PEM_read_PrivateKey(f, NULL, NULL, NULL);
    CHECK(key != NULL);
    if (f == NULL) {
        f = fopen(path, "w");
        CHECK(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    }
    CHECK(fclose(f) == 0);
    return key;
}

static struct stage *enter(const char *dir)
{
    struct stage *s = calloc(1, sizeof(*s));
    CHECK(s != NULL && str_copy(s->world.dir, sizeof(s->world.dir), dir, strlen(dir)));
    played_begin_there(&s->world);
    s->player = (struct player){.world = &s->world, .key = key_in(dir, "key.pem")};
    s->next = key_in(dir, "next.pem");
    played_post_as(&s->player, PLAYED_URL "/new-account", "{\"onlyReturnExisting\":true}", true);
    played_field(&s->world, "Location", s->player.kid);
    return s;
}

static void leave(struct stage *s)
{
    player_free(&s->player);
    EVP_PKEY_free(s->next);
    played_leave(&s->world);
    free(s);
}

/* ---- acts ---- */

static void well(const struct stage *s)
{
    if (s->world.status >= 300)
        must(!err_set(&err, "%u %s", s->world.status, s->world.text));
}

static void enrol(struct stage *s)
{
    played_post_as(&s->player, PLAYED_URL "/new-account", "{\"contact\":[\"mailto:old@example.com\"]}", true);
    well(s);
    played_field(&s->world, "Location", s->player.kid);
}

static void say_who(struct stage *s)
{
    played_post(&s->player, s->player.kid,
                "{\"contact\":[\"mailto:new@example.com\"],\"termsOfServiceAgreed\":true}");
    well(s);
}

static void change_key(struct stage *s)
{
    struct buf old = {0}, said = {0}, inner = {0};
    struct jws_header header = {.url = PLAYED_URL "/key-change"};
    CHECK(jwk_put(s->player.key, &old));
    CHECK(buf_printf(&said, "{\"account\":\"%s\",\"oldKey\":%s}", s->player.kid, buf_text(&old)));
    must(jws_sign(s->next, &header, (struct str){(char *)said.data, said.len}, &inner, &err) == 0);
    played_post(&s->player, PLAYED_URL "/key-change", buf_text(&inner));
    well(s);
    buf_free(&old);
    buf_free(&said);
    buf_free(&inner);
}

static void order(struct stage *s)
{
    player_order(&s->player, NAMES, "");
    well(s);
}

/* The account's only order is the last answer. */
static void see_order(struct stage *s)
{
    char url[512];
    snprintf(url, sizeof(url), PLAYED_URL "/orders/%s", strrchr(s->player.kid, '/') + 1);
    played_post(&s->player, url, "");
    well(s);
    str_copy(url, sizeof(url), json_string_value(json_array_get(json_object_get(s->world.body, "orders"), 0)),
             strlen(json_string_value(json_array_get(json_object_get(s->world.body, "orders"), 0))));
    played_post(&s->player, url, "");
    well(s);
}

/* The first authorization of it that is pending is the last answer, its URL in `ret`. */
static void see_pending(struct stage *s, char ret[512])
{
    see_order(s);
    json_t *list = json_incref(json_object_get(s->world.body, "authorizations"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *url = json_string_value(json_array_get(list, i));
        str_copy(ret, 512, url, strlen(url));
        played_post(&s->player, url, "");
        if (strcmp(played_text(&s->world, "status"), "pending") == 0)
            break;
    }
    json_decref(list);
    CHECK(strcmp(played_text(&s->world, "status"), "pending") == 0);
}

static void ask_look(struct stage *s)
{
    char url[512];
    see_pending(s, url);
    const char *text = json_string_value(
        json_object_get(json_array_get(json_object_get(s->world.body, "challenges"), 0), "url"));
    str_copy(url, sizeof(url), text, strlen(text));
    played_post(&s->player, url, "{}");
    well(s);
}

static void hand_out(struct stage *s)
{
    struct acme_check check;
    must(acme_server_next(s->world.server, s->world.now, &check, &err) == 1);
}

static void see(struct stage *s, bool ok)
{
    struct acme_check check;
    int64_t later = s->world.now + 600; /* handed out before, perhaps */
    must(acme_server_next(s->world.server, later, &check, &err) == 1);
    must(acme_server_validated(s->world.server, check.id, ok, ACME_DNS, "nobody", s->world.now, &err) == 0);
}

static void see_good(struct stage *s)
{
    see(s, true);
}

static void see_bad(struct stage *s)
{
    see(s, false);
}

static void give_up(struct stage *s)
{
    char url[512];
    see_pending(s, url);
    played_post(&s->player, url, "{\"status\":\"deactivated\"}");
    well(s);
}

static void finish(struct stage *s)
{
    see_order(s);
    char *url = strdup(played_text(&s->world, "finalize"));
    player_finalize(&s->player, url, NAMES);
    free(url);
    well(s);
}

static void revoke_it(struct stage *s)
{
    struct buf text = {0}, payload = {0};
    uint8_t *der = NULL;
    see_order(s);
    char *url = strdup(played_text(&s->world, "certificate"));
    played_post(&s->player, url, "");
    well(s);
    BIO *bio = BIO_new_mem_buf(s->world.text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int len = i2d_X509(cert, &der);
    CHECK(len > 0 && base64url_put(&text, der, (size_t)len) &&
          buf_printf(&payload, "{\"certificate\":\"%s\"}", buf_text(&text)));
    played_post(&s->player, PLAYED_URL "/revoke-cert", buf_text(&payload));
    well(s);
    OPENSSL_free(der);
    X509_free(cert);
    BIO_free(bio);
    buf_free(&text);
    buf_free(&payload);
    free(url);
}

static void deactivate(struct stage *s)
{
    played_post(&s->player, s->player.kid, "{\"status\":\"deactivated\"}");
    well(s);
}

static void sweep(struct stage *s)
{
    must(acme_server_sweep(s->world.server, s->world.now + 500 * PLAYED_DAY, &err) >= 0);
}

/* Acts in order, the last one NULL. */
static void play(const char *dir, void (*const acts[])(struct stage *s))
{
    struct stage *s = enter(dir);
    for (; *acts != NULL; acts++)
        (*acts)(s);
    leave(s);
}

/* ---- what is there ---- */

/* Each counts what there must not be. */
static const char *const faults[] = {
    "SELECT COUNT(*) FROM wants w WHERE NOT EXISTS (SELECT 1 FROM orders WHERE number = w.number) OR NOT "
    "EXISTS (SELECT 1 FROM authorizations WHERE id = w.authorization)",
    "SELECT COUNT(*) FROM orders o WHERE (SELECT COUNT(*) FROM wants WHERE number = o.number) <> 2",
    "SELECT COUNT(*) FROM authorizations a WHERE (SELECT COUNT(*) FROM challenges WHERE authorization = "
    "a.id) <> 3",
    "SELECT COUNT(*) FROM challenges c WHERE NOT EXISTS (SELECT 1 FROM authorizations WHERE id = "
    "c.authorization)",
    "SELECT COUNT(*) FROM looks l LEFT JOIN challenges c ON c.id = l.challenge LEFT JOIN authorizations a ON "
    "a.id = l.authorization WHERE c.status IS NOT 2 OR a.status IS NOT 0",
    "SELECT COUNT(*) FROM challenges c JOIN authorizations a ON a.id = c.authorization WHERE c.status = 2 "
    "AND a.status = 0 AND NOT EXISTS (SELECT 1 FROM looks WHERE challenge = c.id)",
    "SELECT COUNT(*) FROM orders o WHERE status = 3 AND NOT EXISTS (SELECT 1 FROM certificates WHERE id = "
    "o.certificate)",
    "SELECT COUNT(*) FROM certificates c WHERE NOT EXISTS (SELECT 1 FROM orders WHERE certificate = c.id)",
    "SELECT COUNT(*) FROM orders o WHERE status < 2 AND (status = 1) <> NOT EXISTS (SELECT 1 FROM wants w "
    "JOIN authorizations a ON a.id = w.authorization WHERE w.number = o.number AND a.status <> 3)",
    "SELECT COUNT(*) FROM orders o WHERE status < 2 AND EXISTS (SELECT 1 FROM wants w JOIN authorizations a "
    "ON a.id = w.authorization WHERE w.number = o.number AND a.status > 3)",
    "SELECT COUNT(*) FROM accounts WHERE (ordered <> 0) <> EXISTS (SELECT 1 FROM orders)",
    "SELECT (SELECT COUNT(*) FROM failures) <> (SELECT COUNT(*) FROM authorizations WHERE status = 4)",
};

static int64_t number_of(struct state *db, const char *sql)
{
    struct state_query *q = state_query(db, sql, &err);
    must(q != NULL);
    CHECK(state_step(q, &err) == STATE_ROW && !state_is_null(q, 0));
    int64_t number = state_int(q, 0);
    state_done(q);
    return number;
}

/* The database is whole; what `sql` says: 0 or 1, or NULL, which is neither the old state nor the new one. */
static bool look(const char *dir, const char *sql)
{
    struct state *db = acme_db_open(in(dir, "acme.db"), &err);
    must(db != NULL);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (number_of(db, faults[i]) != 0)
            must(!err_set(&err, "found: %s", faults[i]));
    int64_t is_new = number_of(db, sql);
    CHECK(is_new == 0 || is_new == 1);
    state_close(db);
    return is_new == 1;
}

/* Exactly one of the two keys has the account, and signs for it. */
static bool has_next_key(const char *dir)
{
    CHECK(!look(dir, "SELECT COUNT(*) - 1 FROM accounts"));
    struct stage *s = enter(dir);
    bool is_new = s->player.kid[0] == '\0';
    if (is_new) {
        EVP_PKEY *old = s->player.key;
        s->player.key = s->next;
        s->next = old;
        played_post_as(&s->player, PLAYED_URL "/new-account", "{\"onlyReturnExisting\":true}", true);
        well(s);
        played_field(&s->world, "Location", s->player.kid);
    }
    played_post(&s->player, s->player.kid, "");
    well(s);
    leave(s);
    return is_new;
}

/* ---- which ---- */

/* An operation NAME: from what the acts of MAKE leave, what ACT does; SQL says whether it is done. */
#define OPERATION(name, act, ...)                                  \
    static void name##_make(const char *dir)                       \
    {                                                              \
        play(dir, (void (*const[])(struct stage *)){__VA_ARGS__}); \
    }                                                              \
    static void name##_do(const char *dir)                         \
    {                                                              \
        play(dir, (void (*const[])(struct stage *)){act, NULL});   \
    }
#define JUDGED(name, sql)                      \
    static bool name##_is_new(const char *dir) \
    {                                          \
        return look(dir, sql);                 \
    }

OPERATION(enrol, enrol, NULL)
JUDGED(enrol, "SELECT COUNT(*) FROM accounts")
OPERATION(contact, say_who, enrol, NULL)
JUDGED(contact, "SELECT CASE terms + (contact LIKE '%new%') WHEN 0 THEN 0 WHEN 2 THEN 1 END FROM accounts")
OPERATION(key, change_key, enrol, NULL)
OPERATION(order, order, enrol, NULL)
JUDGED(order, "SELECT COUNT(*) FROM orders")
OPERATION(ask, ask_look, enrol, order, NULL)
JUDGED(ask, "SELECT COUNT(*) FROM looks")
OPERATION(next, hand_out, enrol, order, ask_look, NULL)
JUDGED(next, "SELECT due > 1900000000 FROM looks")
OPERATION(proven, see_good, enrol, order, ask_look, see_good, ask_look, NULL)
JUDGED(proven, "SELECT status = 1 FROM orders")
OPERATION(failed, see_bad, enrol, order, ask_look, NULL)
JUDGED(failed, "SELECT status = 4 FROM orders")
OPERATION(give_up, give_up, enrol, order, ask_look, NULL)
JUDGED(give_up, "SELECT status = 4 FROM orders")
OPERATION(finalize, finish, enrol, order, ask_look, see_good, ask_look, see_good, NULL)
JUDGED(finalize, "SELECT status = 3 FROM orders")
OPERATION(revoke, revoke_it, enrol, order, ask_look, see_good, ask_look, see_good, finish, NULL)
JUDGED(revoke, "SELECT revoked <> 0 FROM certificates")
OPERATION(deactivate, deactivate, enrol, order, ask_look, NULL)
JUDGED(deactivate,
       "SELECT CASE WHEN status = 5 AND NOT EXISTS (SELECT 1 FROM orders WHERE status < 2) AND NOT "
       "EXISTS (SELECT 1 FROM authorizations WHERE status IN (0, 3)) AND NOT EXISTS (SELECT 1 FROM "
       "looks) THEN 1 WHEN status = 3 AND EXISTS (SELECT 1 FROM orders WHERE status < 2) AND EXISTS "
       "(SELECT 1 FROM looks) THEN 0 END FROM accounts")
OPERATION(sweep, sweep, enrol, order, ask_look, see_bad, NULL)
JUDGED(sweep, "SELECT CASE (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM authorizations) + (SELECT "
              "COUNT(*) FROM failures) + (SELECT COUNT(*) FROM accounts) WHEN 5 THEN 0 WHEN 0 THEN 1 END")

const struct operation acme_operations[] = {
    {"acme-enrol", enrol_make, enrol_do, enrol_is_new},
    {"acme-contact", contact_make, contact_do, contact_is_new},
    {"acme-key", key_make, key_do, has_next_key},
    {"acme-order", order_make, order_do, order_is_new},
    {"acme-ask", ask_make, ask_do, ask_is_new},
    {"acme-next", next_make, next_do, next_is_new},
    {"acme-proven", proven_make, proven_do, proven_is_new},
    {"acme-failed", failed_make, failed_do, failed_is_new},
    {"acme-give-up", give_up_make, give_up_do, give_up_is_new},
    {"acme-finalize", finalize_make, finalize_do, finalize_is_new},
    {"acme-revoke", revoke_make, revoke_do, revoke_is_new},
    {"acme-deactivate", deactivate_make, deactivate_do, deactivate_is_new},
    {"acme-sweep", sweep_make, sweep_do, sweep_is_new},
    {0},
};
