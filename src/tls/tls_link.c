/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS library reads and writes through a BIO of ours. Its reads are served from a window: bytes read
 * ahead from the lower link in one call, at most as many as the caller's buffer can take decrypted, so that
 * the window is empty again when the call ends. Its writes gather in the thread's scratch and leave with one
 * call of the lower link. What the lower link can't take stays in a spill of this connection's own, and
 * writing waits for that.
 *
 * Bounds. Window: the caller's space, at most TLS_SCRATCH_SIZE. Stash: what a call left in the window, when
 * the caller's space was used up first. Spill: the records of one call of tls_write(), which takes no more
 * plaintext than fits the scratch sealed. All three are empty on an idle connection. Two TLS links, one on
 * top of the other, must not share a scratch: the upper one's call would run within the lower one's.
 *
 * Turns. What costs a peer little and us much is a record without data: a KeyUpdate of 27 bytes makes us
 * derive keys. So a call takes only a few of them, then answers LINK_AGAIN and wakes the owner at the end of
 * the loop's round.
 *
 * Bytes given as `early` are read from where they lie, by the first link_open(); it always consumes them,
 * since the library reads until its BIO is empty. */
#include "tls/tls_link.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alert.h"
#include "base/buf.h"
#include "ech/offer.h"
#include "tls/tls_internal.h"

/* How often a handshake step fills the scratch: more than the library's bound on a
 * certificate chain needs. */
#define HANDSHAKE_TURNS 4

/* The library asks the BIO for a record in two pieces: its header, then all of the rest. */
#define RECORD_PIECES 2

/* Records without data (tickets, KeyUpdates, empty ones) that are worked off in one call of tls_read(); then
 * others have a turn. Fewer than the library takes in a row before it gives up (32). */
#define FRUITLESS_TURN 16

/* A peer that is this many records without data ahead of those with data only wants to keep us busy. */
#define FRUITLESS_MAX 1024

/* The longest record with its header (RFC 8446, 5.2; RFC 5246, 6.2.3). */
#define RECORD_MAX (5 + 16384 + 2048)

#define RECORD_HEADER 5
#define ALERT_RECORD (RECORD_HEADER + 2) /* in the clear (RFC 8446, 5.1 and 6) */
#define FOUND_MAX 128                    /* bytes of what is no TLS that are told */

#define READ_OUT_TURNS 16 /* of what a layer below has said behind our end */

#define TLS_LINK_MAGIC 0x715114c0u

struct tls_link {
    struct link link;
    uint32_t magic;
    SSL *ssl;
    struct link *lower;
    struct tls_scratch *scratch;
    const uint8_t *in, *in_end; /* the window */
    size_t turn;                /* pieces of records that this call may still take */
    size_t fruitless;           /* pieces of records that brought no data, less what data has made up for */
    bool resting;               /* this call has done enough; `go_on` wakes the owner for the next */
    struct task go_on;
    size_t read_budget;            /* most bytes the window may still take from the lower link in this call */
    enum link_status lower_status; /* why the window could not be filled */
    struct buf stash;              /* window bytes that outlived a call: rare */
    struct buf found;              /* of a server that speaks no TLS: what it says in its place */
    struct buf spill;              /* records that the lower link did not take yet */
    struct tls_proof proof;
    bool started; /* the handshake has had its first call */
    bool is_open;
    bool unwritable; /* the link below takes no more; what it has brought may still be read */
    bool truncated;
    bool premature_is_end; /* see tls_link_take_premature_close() */
    bool no_certificate;
    uint8_t head_len;
    uint8_t head[RECORD_HEADER]; /* how the peer begins */
    uint8_t last[ALERT_RECORD];  /* of the handshake, what the library has read last */
    uint8_t alert;               /* that the peer sent */
    enum fault fault;
    bool close_sent; /* or an alert in its stead */
    bool refused;    /* ... which was it */
};

static struct tls_link *tls_of(const struct link *l)
{
    struct tls_link *t = CONTAINER_OF((struct link *)(uintptr_t)l, struct tls_link, link);
    CHECK_MAGIC(t, TLS_LINK_MAGIC);
    return t;
}

/* ---- records out ---- */

/* Send what has gathered in the scratch; the rest, if any, becomes the spill. */
static enum link_status flush_scratch(struct tls_link *t)
{
    struct tls_scratch *s = t->scratch;
    size_t done = 0;
    enum link_status status = LINK_OK;
    if (t->spill.len > 0)
        status = LINK_AGAIN;
    while (done < s->out_len && status == LINK_OK) {
        size_t n = 0;
        status = link_write(t->lower, s->out + done, s->out_len - done, &n);
        done += status == LINK_OK ? n : 0;
    }
    if (status != LINK_ERROR && done < s->out_len)
        CHECK(buf_append(&t->spill, s->out + done, s->out_len - done));
    s->out_len = 0;
    return status;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls_link *t = BIO_get_data(bio);
    struct tls_scratch *s = t->scratch;
    size_t n = (size_t)len;
    CHECK(len >= 0);
    t->proof.handshake_out += t->is_open ? 0 : (uint32_t)len;
    if (s->out_size - s->out_len < n && flush_scratch(t) == LINK_ERROR)
        return -1;
    if (s->out_size - s->out_len < n) { /* larger than the whole scratch: a huge certificate chain */
        if (!buf_append(&t->spill, data, n))
            return -1;
        return len;
    }
    memcpy(s->out + s->out_len, data, n);
    s->out_len += n;
    return len;
}

/* ---- records in ---- */

static void fill_window(struct tls_link *t)
{
    size_t want = MIN(t->read_budget, t->scratch->in_size), n = 0;
    t->lower_status = LINK_AGAIN;
    if (want == 0)
        return;
    t->lower_status = link_read(t->lower, t->scratch->in, want, &n);
    if (t->lower_status != LINK_OK)
        return;
    t->read_budget -= n;
    t->in = t->scratch->in;
    t->in_end = t->in + n;
    for (size_t i = 0; i < n && t->head_len < RECORD_HEADER; i++)
        t->head[t->head_len++] = t->in[i];
}

static void keep_last(struct tls_link *t, const uint8_t *p, size_t n)
{
    size_t fresh = MIN(n, sizeof(t->last));
    memmove(t->last, t->last + fresh, sizeof(t->last) - fresh);
    memcpy(t->last + sizeof(t->last) - fresh, p + n - fresh, fresh);
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct tls_link *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->turn == 0) {
        t->resting = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (t->in == t->in_end)
        fill_window(t);
    if (t->in == t->in_end) {
        if (t->lower_status == LINK_AGAIN)
            BIO_set_retry_read(bio);
        return t->lower_status == LINK_EOF ? 0 : -1;
    }
    size_t n = MIN((size_t)len, (size_t)(t->in_end - t->in));
    memcpy(out, t->in, n);
    if (!t->is_open)
        keep_last(t, t->in, n);
    t->in += n;
    t->proof.handshake_in += t->is_open ? 0 : (uint32_t)n;
    if (n == (size_t)len) {
        t->turn--;
        t->fruitless++;
    }
    return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return cmd == BIO_CTRL_FLUSH; /* flushing is ours, at the end of the call */
}

static BIO_METHOD *bio_method_make(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cardea link");
    CHECK(m != NULL);
    CHECK(BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
          BIO_meth_set_ctrl(m, bio_ctrl));
    return m;
}

static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *_Atomic method; /* made by whoever comes first, kept for good */
    BIO_METHOD *found = atomic_load(&method);
    if (found != NULL)
        return found;
    BIO_METHOD *made = bio_method_make();
    if (atomic_compare_exchange_strong(&method, &found, made))
        return made;
    BIO_meth_free(made);
    return found;
}

/* ---- around every call of the library ---- */

static void enter(struct tls_link *t, size_t read_budget)
{
    CHECK(t->scratch->out_len == 0);
    ERR_clear_error();
    t->read_budget = read_budget;
    t->turn = SIZE_MAX;
    t->resting = false;
    t->lower_status = LINK_AGAIN;
    if (t->stash.len > 0) {
        t->in = t->stash.data;
        t->in_end = t->in + t->stash.len;
    }
}

/* Send what the call wrote and keep what it left unread. */
static enum link_status leave(struct tls_link *t)
{
    size_t left = (size_t)(t->in_end - t->in);
    if (t->stash.len > 0 && t->in_end == t->stash.data + t->stash.len) {
        buf_consume(&t->stash, t->stash.len - left);
    } else if (t->stash.len > 0 || left > 0) {
        buf_free(&t->stash);
        CHECK(buf_append(&t->stash, t->in, left));
    }
    if (t->stash.len == 0)
        buf_free(&t->stash);
    t->in = t->in_end = NULL;
    return t->scratch->out_len > 0 ? flush_scratch(t) : LINK_OK;
}

/* The library gives up behind what would be the header of the first record. What a client said is not kept:
 * it may be a password. */
static void keep_found(struct tls_link *t)
{
    bool is_record = t->head[0] >= 20 && t->head[0] <= 23 && t->head[1] == 3; /* RFC 8446, 5.1 */
    if (t->is_open || is_record || SSL_is_server(t->ssl))
        return;
    CHECK(buf_append(&t->found, t->head, t->head_len));
    CHECK(buf_append(&t->found, t->in, MIN((size_t)(t->in_end - t->in), (size_t)FOUND_MAX)));
}

/* A client of TLS 1.3 that does not take our certificate may say so before it has keys to say it under:
 * OpenSSL does. The library, which has them by then, cannot open that record; who could forge it could have
 * cut the connection as well. 0: it is none. */
static uint8_t alert_in_the_clear(const struct tls_link *t)
{
    static const uint8_t header[RECORD_HEADER] = {SSL3_RT_ALERT, 3, 3, 0, 2};
    uint32_t code = ERR_peek_error();
    bool too_short = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_BAD_PACKET_LENGTH;
    bool is_alert = too_short && !t->is_open && SSL_is_server(t->ssl) &&
                    memcmp(t->last, header, sizeof(header)) == 0 && t->last[RECORD_HEADER] == SSL3_AL_FATAL;
    return is_alert ? t->last[RECORD_HEADER + 1] : 0;
}

/* An alert says more than the reset that came behind it, of a peer that closed with bytes of ours unread. */
static enum link_status tls_fail(struct tls_link *t, int ssl_error)
{
    t->alert = tls_peer_alert();
    if (t->alert == 0)
        t->alert = alert_in_the_clear(t);
    if (t->alert == 0 && t->lower->error != NULL)
        return link_fail(&t->link, t->lower->error);
    uint32_t code = ERR_peek_error();
    if (code != 0 && ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        t->no_certificate = true;
    if (t->alert != 0)
        tls_proof_refused(&t->proof);
    const struct ech_attempt *ech = t->proof.ech;
    if (tls_proof_ech_refused(&t->proof, t->ssl))
        return link_fail(&t->link, ech->why != NULL ? ech->why : "ECH was refused");
    t->fault = tls_reason_fault();
    if (t->fault == FAULT_NOT_TLS)
        keep_found(t);
    if (ssl_error == SSL_ERROR_SYSCALL && code == 0)
        return link_fail(&t->link, "closed during the handshake");
    return link_fail(&t->link, t->is_open ? tls_reason() : tls_handshake_reason(&t->proof, t->alert));
}

/* ---- link operations ---- */

static enum link_status handshake_step(struct tls_link *t)
{
    uint8_t alert = 0;
    enter(t, t->scratch->in_size);
    if (t->started && t->in == t->in_end)
        fill_window(t);
    if (t->started && t->in == t->in_end && t->lower_status == LINK_AGAIN)
        return LINK_AGAIN; /* nothing has come: spare the library the trouble */
    t->started = true;
    int ret = 0, ssl_error = SSL_ERROR_WANT_READ;
    for (int turn = 0; turn < HANDSHAKE_TURNS && ssl_error == SSL_ERROR_WANT_READ; turn++) {
        ret = SSL_do_handshake(t->ssl);
        ssl_error = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, ret);
        if (t->read_budget > 0)
            break;
        t->read_budget = t->scratch->in_size; /* a flight larger than the scratch: more of it may be there */
    }
    enum link_status status = ssl_error == SSL_ERROR_WANT_READ ? LINK_AGAIN : LINK_OK;
    if (ret == 1 && tls_proof_complete(&t->proof, t->ssl, &alert) != 0) {
        SSL_send_fatal_alert(t->ssl, alert);
        status = link_fail(&t->link, "certificate refused");
    } else if (status == LINK_OK && ret != 1) {
        status = tls_fail(t, ssl_error);
    }
    if (leave(t) == LINK_ERROR)
        return link_fail(&t->link, link_error(t->lower));
    return status;
}

static enum link_status tls_open(struct link *l)
{
    struct tls_link *t = tls_of(l);
    if (t->is_open)
        return LINK_OK;
    if (l->error != NULL)
        return LINK_ERROR;
    enum link_status status = link_open(t->lower);
    if (status == LINK_OK && t->spill.len > 0)
        status = link_write_buf(t->lower, &t->spill);
    if (status == LINK_ERROR && !t->started)
        return link_fail(l, link_error(t->lower));
    if (status != LINK_AGAIN)
        status = handshake_step(t); /* of a broken link, what the peer said before */
    if (status != LINK_OK)
        return status;
    t->is_open = true;
    t->fruitless = 0;
    return LINK_OK;
}

static enum link_status read_end(struct tls_link *t, int ssl_error)
{
    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
        return LINK_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return LINK_EOF;
    case SSL_ERROR_SYSCALL:
        if (t->lower_status == LINK_EOF && ERR_peek_error() == 0) {
            if (t->premature_is_end && !SSL_has_pending(t->ssl)) /* not within a record */
                return LINK_EOF;
            t->truncated = true;
            return link_fail(&t->link, "ended without close_notify");
        }
        return tls_fail(t, ssl_error);
    default:
        return tls_fail(t, ssl_error);
    }
}

/* A record has brought data: it counts for nothing, and makes up for one without. */
static void bear_fruit(struct tls_link *t)
{
    t->turn = MIN(t->turn + RECORD_PIECES, (size_t)FRUITLESS_TURN * RECORD_PIECES);
    t->fruitless -= MIN(t->fruitless, (size_t)2 * RECORD_PIECES);
}

static enum link_status tls_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct tls_link *t = tls_of(l);
    if (l->error != NULL && !t->unwritable)
        return LINK_ERROR;
    enter(t, cap);
    t->turn = (size_t)FRUITLESS_TURN * RECORD_PIECES;
    size_t n = 0, extra = cap < RECORD_MAX ? RECORD_MAX : 0; /* a record longer than the caller's space */
    enum link_status status = LINK_OK;
    while (n < cap && status == LINK_OK) {
        int ret = SSL_read(t->ssl, (uint8_t *)buf + n, (int)MIN(cap - n, (size_t)INT32_MAX));
        if (ret > 0) {
            n += (size_t)ret;
            bear_fruit(t);
        } else {
            status = read_end(t, SSL_get_error(t->ssl, ret));
        }
        if (t->fruitless > (size_t)FRUITLESS_MAX * RECORD_PIECES &&
            (status == LINK_OK || status == LINK_AGAIN))
            status = link_fail(l, "records without data");
        if (status == LINK_AGAIN && n == 0 && t->read_budget == 0 && !t->resting) {
            t->resting = extra == 0;
            t->read_budget = extra;
            status = extra > 0 ? LINK_OK : LINK_AGAIN;
            extra = 0;
        }
    }
    leave(t); /* a KeyUpdate or an alert may have been written; if that fails, the next write says so */
    if (n == 0 && status == LINK_AGAIN && t->resting)
        loop_defer(t->scratch->loop, &t->go_on); /* nothing from below need come for that */
    if (n == 0)
        return status;
    *ret_n = n; /* after an error too: what came before it is good, and the next read tells */
    return LINK_OK;
}

/* Only writing is over: see what the peer said before it went. */
static enum link_status cannot_write(struct tls_link *t)
{
    t->unwritable = true;
    return link_fail(&t->link, link_error(t->lower));
}

static enum link_status tls_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct tls_link *t = tls_of(l);
    if (l->error != NULL)
        return LINK_ERROR;
    enum link_status status = link_write_buf(t->lower, &t->spill);
    if (status != LINK_OK)
        return status == LINK_AGAIN ? LINK_AGAIN : cannot_write(t);
    enter(t, 0);
    int n = SSL_write(t->ssl, buf, (int)MIN(len, t->scratch->out_size / 8 * 7));
    if (n <= 0) {
        int ssl_error = SSL_get_error(t->ssl, n);
        bool below = leave(t) == LINK_ERROR || t->lower->error != NULL;
        return below ? cannot_write(t) : tls_fail(t, ssl_error);
    }
    if (leave(t) == LINK_ERROR)
        return cannot_write(t);
    *ret_n = (size_t)n;
    return LINK_OK;
}

/* close_notify, which ends our direction only (RFC 8446, 6.1); then the same for the link below. */
static enum link_status tls_shutdown(struct link *l, bool closing)
{
    struct tls_link *t = tls_of(l);
    if (l->error != NULL)
        t->close_sent = true; /* after a failure an alert has said all there is to say */
    if (!t->close_sent) {
        link_more(t->lower, true); /* close_notify and FIN in one packet */
        enter(t, 0);
        SSL_shutdown(t->ssl);
        leave(t);
        link_more(t->lower, false);
        t->close_sent = true;
    }
    enum link_status status = link_write_buf(t->lower, &t->spill);
    if (status == LINK_ERROR)
        return link_fail(l, link_error(t->lower));
    if (status != LINK_OK)
        return status;
    return closing ? link_finish(t->lower) : link_shutdown(t->lower);
}

static void tls_refuse(struct link *l, uint8_t alert)
{
    struct tls_link *t = tls_of(l);
    if (l->error != NULL || t->close_sent)
        return;
    enter(t, 0);
    SSL_send_fatal_alert(t->ssl, alert);
    leave(t);
    t->close_sent = t->refused = true;
}

/* TLS within TLS: behind our end stands that of the layer below. A socket that is closed while bytes are
 * unread resets the connection, and might take back what was said last. */
static void read_out(struct link *lower)
{
    uint8_t rest[256];
    size_t n;
    for (int i = 0; i < READ_OUT_TURNS && link_read(lower, rest, sizeof(rest), &n) == LINK_OK; i++)
        ;
}

static void tls_close(struct link *l, bool abort)
{
    struct tls_link *t = tls_of(l);
    bool ended = t->close_sent && !t->refused;
    if (abort)
        tls_refuse(l, ALERT_INTERNAL_ERROR);
    else if (t->is_open && l->error == NULL && t->spill.len == 0)
        tls_shutdown(l, true);
    /* A TLS stream that is cut off shows by its alert: a reset might take that back, and what came before.
     * Only what is no socket, or has had its end already, can be cut all the same. */
    if (abort && (ended || link_socket(t->lower) < 0)) {
        link_cut(t->lower);
    } else {
        if (link_below(t->lower) != NULL)
            read_out(t->lower);
        link_close(t->lower, false);
    }
    list_remove(&t->go_on.node);
    SSL_free(t->ssl);
    buf_free(&t->stash);
    buf_free(&t->found);
    buf_free(&t->spill);
    tls_proof_free(&t->proof);
    t->magic = 0;
    free(t);
}

/* ---- what others want to know ---- */

static void tls_peer(const struct link *l, struct link_peer *ret)
{
    const struct tls_link *t = tls_of(l);
    tls_proof_peer(&t->proof, t->ssl, ret);
    ret->truncated = t->truncated;
    ret->no_certificate = t->no_certificate;
    ret->alert = t->alert;
    ret->found = (struct str){(const char *)t->found.data, t->found.len};
    if (t->fault != FAULT_OTHER)
        ret->fault = t->fault;
}

static struct link *tls_below(struct link *l)
{
    return tls_of(l)->lower;
}

static void tls_leave(struct link *l)
{
    struct tls_link *t = tls_of(l);
    list_remove(&t->go_on.node);
    t->lower->ops->leave(t->lower);
}

static bool tls_enter(struct link *l, const struct link_home *home)
{
    struct tls_link *t = tls_of(l);
    t->scratch = home->tls;
    return link_enter(t->lower, home);
}

static const struct link_ops tls_ops = {
    .name = "TLS",
    .open = tls_open,
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .peer = tls_peer,
    .refuse = tls_refuse,
    .below = tls_below,
    .leave = tls_leave,
    .enter = tls_enter,
};

static void lower_wake(struct link *lower)
{
    struct tls_link *t = lower->owner;
    CHECK_MAGIC(t, TLS_LINK_MAGIC);
    if (t->spill.len > 0 && (t->is_open || t->link.error != NULL) &&
        link_write_buf(t->lower, &t->spill) == LINK_ERROR)
        cannot_write(t);
    link_wake(&t->link);
}

static void on_go_on(struct task *task)
{
    struct tls_link *t = CONTAINER_OF(task, struct tls_link, go_on);
    CHECK_MAGIC(t, TLS_LINK_MAGIC);
    link_wake(&t->link);
}

struct link *tls_link_new(SSL *ssl, struct link *lower, struct tls_scratch *scratch,
                          const struct tls_proof *proof, struct str early)
{
    struct tls_link *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    CHECK(lower->ops != &tls_ops || tls_of(lower)->scratch != scratch); /* see the top */
    t->link.ops = &tls_ops;
    t->magic = TLS_LINK_MAGIC;
    t->ssl = ssl;
    t->lower = lower;
    t->scratch = scratch;
    t->proof = *proof;
    t->in = (const uint8_t *)early.p;
    t->in_end = t->in + early.len;
    task_init(&t->go_on, on_go_on);
    lower->owner = t;
    lower->wake = lower_wake;
    BIO *bio = BIO_new(bio_method());
    CHECK(bio != NULL);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    tls_proof_attach(&t->proof, ssl);
    SSL_set_shed_handshake_config(ssl, 1);
    return &t->link;
}

void tls_link_take_premature_close(struct link *l)
{
    tls_of(l)->premature_is_end = true;
}

struct link *tls_link_bottom(struct link *l)
{
    struct link *found = NULL;
    for (; l != NULL; l = link_below(l))
        if (l->ops == &tls_ops)
            found = l;
    return found;
}

int tls_link_export(const struct link *l, enum authenticator_sender sender, struct authenticator_keys *ret,
                    struct err *err)
{
    return authenticator_export(tls_of(l)->ssl, sender, ret, err);
}

void tls_link_renew(struct link *l, struct authenticator_proof *by)
{
    tls_proof_renew(&tls_of(l)->proof, by);
}

void tls_scratch_init(struct tls_scratch *s, struct loop *loop)
{
    *s = (struct tls_scratch){.loop = loop, .in_size = TLS_SCRATCH_SIZE, .out_size = TLS_SCRATCH_SIZE};
    s->in = malloc(s->in_size);
    s->out = malloc(s->out_size);
    CHECK(s->in != NULL && s->out != NULL);
}

void tls_scratch_free(struct tls_scratch *s)
{
    free(s->in);
    free(s->out);
    *s = (struct tls_scratch){0};
}
