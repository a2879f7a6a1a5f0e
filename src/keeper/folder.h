/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of certificates that are found by name: for each name a file, read when it is first asked for. No
 * more than the files of the names that are in use is ever looked at, so that it makes no difference how many
 * there are. Belongs to the keeper's thread.
 *
 * The folder is watched (inotify(7)). What is replaced is read a moment later; when it is good it is served,
 * else the one before goes on, and a notice says why. */
#ifndef CARDEA_KEEPER_FOLDER_H
#define CARDEA_KEEPER_FOLDER_H

#include "cert/source.h"

struct cert;
struct cert_issuers;
struct folder;

/* Who owns the folder. */
struct folder_owner {
    struct loop *loop;
    struct cert_issuers *issuers; /* shared by all folders */
    void (*notice)(void *arg, const struct err *text);
    void (*changed)(void *arg, const char *name); /* see door_forget_certificates() */
    void (*loaded)(void *arg, struct cert *cert); /* it will be served; borrowed for the call. May be NULL */
    void *arg;
};

/* `owner` is copied. What was read is kept within these bounds (see cert_cache_new()). Never NULL: a folder
 * that is not there yet has no certificates. */
struct folder *folder_new(const char *path, size_t names, size_t bytes, const struct folder_owner *owner);

/* NULL is allowed. */
void folder_free(struct folder *folder);

const char *folder_path(const struct folder *folder);

/* The certificates for a name (as in struct cert_question), a reference each in *ret. False, with `why` and
 * `good_for` in *ret, when there is none, or none that is good. */
bool folder_find(struct folder *folder, const char *name, struct cert_answer *ret);

/* The certificate in a file of the folder as it is served, or would be when it is asked for: a reference.
 * NULL with `err`; nobody is told. */
struct cert *folder_peek(struct folder *folder, const char *file, struct err *err);

/* Of which name, or which names below one ("*.example.com"), does this file hold a certificate or key? False:
 * it is none of such. */
bool folder_file_name(const char *file, char ret[HOSTNAME_MAX + 1]);

#endif
