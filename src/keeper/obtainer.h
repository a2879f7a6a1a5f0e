/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that the door obtains by itself, from CAs, by ACME: life.h says when, the book keeps them,
 * errands fetch them. Belongs to the keeper's thread. */
#ifndef CARDEA_KEEPER_OBTAINER_H
#define CARDEA_KEEPER_OBTAINER_H

#include "cert/source.h"
#include "keeper/acme_wish.h"
#include "keeper/listing.h"

struct asker;
struct book;
struct book_place;
struct cert_staple;
struct fetcher;
struct challenges;
struct obtainer;
struct obtained;

struct obtainer_owner {
    struct loop *loop;
    struct challenges *challenges; /* where proofs are put that the door itself shows */
    void (*notice)(void *arg, const struct err *text);
    void (*changed)(void *arg, const char *name);           /* see door_forget_certificates() */
    void (*retired)(void *arg, struct cert_staple *staple); /* see cert_set_staple(); never NULL */
    void *arg;
};

struct obtainer_settings {
    int64_t check_every; /* seconds, at most, between looks whether a certificate is revoked */
    unsigned orders;     /* under way at once */
};

/* With a book that was opened and nobody else has; it is closed by obtainer_free(). `fetcher` (NULL:
 * nothing can be obtained) and `asker` are borrowed. Never NULL; what it cannot do it tells by notices. */
struct obtainer *obtainer_new(struct book *book, struct fetcher *fetcher, struct asker *asker,
                              const struct obtainer_owner *owner);

void obtainer_set(struct obtainer *o, const struct obtainer_settings *settings);

/* What is under way is given up; all that was wanted has been released. NULL is allowed. */
void obtainer_free(struct obtainer *o);

struct obtainer_swap {
    const char *name; /* of certificates for that name; or */
    const char *ca;   /* of those whose served one is of that CA, by its name or URL; NULL both: of all */
};

struct obtainer_swapped {
    size_t swapped;
    size_t left; /* that could not be, for they have no backup that could be served */
};

/* Serve the backups, at once and until something is wrong with them. -1 with `err`: nothing is known of what
 * was named. */
int obtainer_swap(struct obtainer *o, const struct obtainer_swap *what, struct obtainer_swapped *ret,
                  struct err *err);

/* Add a row for each that the configuration names, and of whose names one is like `match` ("": for all). */
void obtainer_list(const struct obtainer *o, const char *match, struct listings *rows);

/* The same for names on demand behind *at, at most `most`, in the order of book_page(); *at moves on. 1:
 * there may be more; 0: there are none; -1 with `err`. */
int obtainer_page(const struct obtainer *o, struct book_place *at, const char *match, size_t most,
                  struct listings *rows, struct err *err);

/* From now on these names are to have a certificate; who wants the same names, kind of key and profile once
 * more gets the same one, and it is obtained as was said last. `wish` is taken over. NULL, with a notice,
 * when the book fails. */
struct obtained *obtainer_want(struct obtainer *o, struct acme_wish *wish);

/* Once for each obtainer_want() or obtainer_demand(). It stays in the book. */
void obtained_release(struct obtained *g);

/* ---- on demand: in memory only while something is to be done (keeper/demand.h) ---- */

/* Who has asked for it. None of these may call back, but for obtained_permit(). */
struct obtained_ear {
    void (*permit)(void *arg); /* an order is due: answer with obtained_permit(), from within or later */
    void (*turned)(void *arg); /* something has become of it: obtained_stage() says what */
    void (*taken)(void *arg);  /* another has demanded it, and it is released already */
    void *arg;
};

/* The same for a name on demand, from the book where that has it (`fresh`: or a new lineage). It is had once:
 * who had it before hears that it is taken. NULL, with nothing said: the book does not have it, or an entry
 * of the configuration obtains it; with a notice when the book fails. */
struct obtained *obtainer_demand(struct obtainer *o, struct acme_wish *wish, bool fresh,
                                 const struct obtained_ear *ear);

/* The order that is due may begin, or (`why`) it may not be renewed now, and is tried again as after an order
 * that was refused. */
void obtained_permit(struct obtained *g, const struct err *why);

enum obtained_stage {
    OBTAINED_SERVES, /* obtained_find() gives a certificate that clients can take */
    OBTAINED_COMES,  /* an order is due or under way */
    OBTAINED_LACKS,  /* there is none, and an order is tried later */
};

/* *ret_next: when something is to be done next, seconds since 1970: LIFE_NEVER for nothing. */
enum obtained_stage obtained_stage(const struct obtained *g, int64_t *ret_next);

/* Its name was asked for; noted once a day. */
void obtained_used(struct obtained *g);

/* Leave it to the book until then, and release it. */
void obtained_leave(struct obtained *g, int64_t due);

/* Those of the book that are on demand and due before `before`, at most `most`: see book_each_demanded(). */
struct book *obtainer_book(struct obtainer *o);

/* What requests are made with; NULL: libcurl is missing. */
struct fetcher *obtainer_fetcher(struct obtainer *o);

/* Remove those of these lineages from the book, at once, that are on demand and that nobody has in memory:
 * how many; -1 with `err`: none. The list is changed. */
int obtainer_forget(struct obtainer *o, int64_t *ids, int count, struct err *err);

/* Revoke at their CAs all certificates of lineages on demand that have the name, in memory or not: by our
 * account, or where the CA does not take that by the certificate's own key (RFC 8555, 7.6). Those that have
 * expired are left. `wish` (NULL: none) says whom to believe at its CAs. `done` is called once, from within
 * or later: how many are revoked, and `err` (else NULL) where one could not be; then the rest was not
 * tried. */
typedef void obtainer_revoked(void *arg, int count, const struct err *err);
void obtainer_revoke(struct obtainer *o, const char *name, const struct acme_wish *wish,
                     obtainer_revoked *done, void *arg);

/* The thread ends: what is being revoked is given up, and told so. */
void obtainer_stop_revoking(struct obtainer *o);

/* Say something about a name. */
void obtainer_say(struct obtainer *o, const char *name, const struct err *why);

/* The certificate, if it is for that name, as a reference in *ret. False: it is not, or it has not been
 * obtained yet, which *ret then says. */
bool obtained_find(const struct obtained *g, const char *name, struct cert_answer *ret);

#endif
