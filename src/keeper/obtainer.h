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
};

/* With a book that was opened and nobody else has; it is closed by obtainer_free(). `fetcher`
 * (NULL: nothing can be obtained) and `asker` are borrowed. Never NULL; what it
 * cannot do it tells by notices. */
struct obtainer *obtainer_new(struct book *book, struct fetcher *fetcher, struct asker *asker,
                              const struct obtainer_owner *owner);

void obtainer_set(struct obtainer *o, const struct obtainer_settings *settings);

/* What is under way is given up; all that was wanted has been released. NULL is allowed. */
void obtainer_free(struct obtainer *o);

struct obtainer_swap {
    const char *name; /* of certificates for that name; or */
    const char *ca;   /* of those whose served one is of the CA with that directory; NULL both: of all */
};

struct obtainer_swapped {
    size_t swapped;
    size_t left; /* that could not be, for they have no backup that could be served */
};

/* Serve the backups, at once and until something is wrong with them. -1 with `err`: nothing is known of what
 * was named. */
int obtainer_swap(struct obtainer *o, const struct obtainer_swap *what, struct obtainer_swapped *ret,
                  struct err *err);

/* Tell what is kept: at most `most`, those with the least life left, texts borrowed until `told` returns. */
void obtainer_list(const struct obtainer *o, size_t most, listing_done *told, void *arg);

/* From now on these names are to have a certificate; who wants the same names, kind of key and profile once
 * more gets the same one, and it is obtained as was said last. `wish` is taken over. NULL, with a notice,
 * when the book fails. */
struct obtained *obtainer_want(struct obtainer *o, struct acme_wish *wish);

/* Once for each obtainer_want(). It stays in the book. */
void obtained_release(struct obtained *g);

/* The certificate, if it is for that name, as a reference in *ret. False: it is not, or it has not been
 * obtained yet, which *ret then says. */
bool obtained_find(const struct obtained *g, const char *name, struct cert_answer *ret);

#endif
