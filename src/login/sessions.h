/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of accounts: one begins with a password or an approval, and in it certificates are renewed without
 * either. Part of the accounts' database (login/accounts.h).
 *
 * A session belongs to one key, the one that was certified last. It renews once, for the key that follows it,
 * and is worth nothing behind that (as a refresh token that rotates: RFC 9700, 4.14.2). So of two who have
 * the same key, its owner and a thief of his login.pem, one comes second, whichever it is: with a key that
 * has been replaced. Nobody can tell which of them is the thief. The session ends for both, what was issued
 * in it is revoked, the operator reads of it in the audit, and its owner hears of it at his next login.
 *
 * An answer may get lost: the door has certified a key whose certificate the client never saw. Then the
 * client asks again with the key that it had, which by the above is the thief's case. What tells them apart
 * is the key that is to be certified: the client has written that down before it asked (login/keep.h) and
 * asks for the same one again. Certified again it helps nobody who does not have it, so there is no limit to
 * that in time or number; a window of time instead would let a thief in, and shut out a client whose network
 * is down for longer. Once the new key has renewed, the key before is replaced for good.
 *
 * A password begins a session of its own and prolongs no other: a thief's would else live for as long as the
 * owner goes on logging in. Where the client shows the certificate that the login replaces, its session
 * ends. */
#ifndef CARDEA_LOGIN_SESSIONS_H
#define CARDEA_LOGIN_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "login/accounts.h"

#define SESSION_ID_MAX 33
#define SESSION_KEY 32 /* SHA-256 of a public key (SubjectPublicKeyInfo) */
#define SESSION_SOURCE_MAX 64

/* A certificate that was shown. */
struct session_shown {
    struct str session;
    const uint8_t *key; /* SESSION_KEY bytes, proven by the handshake */
};

struct session_beginning {
    struct str account;
    struct str source;             /* where from */
    bool familiar;                 /* the account is known to be used from there, from now on */
    const uint8_t *key;            /* to be certified */
    struct session_shown replaces; /* ends, where it is one of this account; `session` may be empty */
    int64_t now;
    int64_t life; /* seconds in which certificates are renewed */
};

enum session_verdict {
    SESSION_FAILED,
    SESSION_GOOD,
    SESSION_OVER,   /* there is none of that account (any more) */
    SESSION_REUSED, /* a key that was replaced: it has ended by that */
};

/* A login was good. SESSION_REUSED: the same, but what it replaces was shown with a key that had been
 * replaced there. SESSION_FAILED with `err`. */
enum session_verdict sessions_begin(struct accounts *a, const struct session_beginning *b,
                                    char ret_id[SESSION_ID_MAX], struct err *err);

struct session_renewal {
    struct str account; /* both as the certificate has them */
    struct session_shown shown;
    const uint8_t *next; /* the key to be certified */
    struct str source;
    int64_t now;
};

/* May that key be certified? Then it is the one that renews from now on. *ret_until: when the session ends.
 */
enum session_verdict sessions_renew(struct accounts *a, const struct session_renewal *r, int64_t *ret_until,
                                    struct err *err);

struct login_session {
    char id[SESSION_ID_MAX];
    char account[ACCOUNT_NAME_MAX + 1];
    int64_t begun;
    int64_t until;
    int64_t certified;                   /* the last time */
    char source[SESSION_SOURCE_MAX + 1]; /* ... and where from */
    int64_t renewals;
};

/* Called with each that lives, of that account, oldest first; less than 0 stops. */
typedef int login_session_fn(void *arg, const struct login_session *session, struct err *err);
int sessions_each(struct accounts *a, struct str account, int64_t now, login_session_fn *fn, void *arg,
                  struct err *err);

/* End that one: nothing is renewed in it any more. 1 done, 0 there is none, -1 with `err`. */
int sessions_end(struct accounts *a, struct str account, struct str id, struct err *err);

/* End all of that account that could go on after `since`; 0: whichever there are. Returns how many, or -1
 * with `err`. */
int sessions_end_all(struct accounts *a, struct str account, int64_t since, struct err *err);

/* A key that was replaced was used last, as far as the owner has not been told yet. */
struct session_alarm {
    int64_t at; /* 0: none was */
    char source[SESSION_SOURCE_MAX + 1];
};

/* What the owner is to be told; it counts as told. -1 with `err`. */
int sessions_take_alarm(struct accounts *a, struct str account, struct session_alarm *ret, struct err *err);

#endif
