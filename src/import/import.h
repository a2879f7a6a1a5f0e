/* SPDX-License-Identifier: Apache-2.0 */
/* Coming from elsewhere: the configuration of another program in, cardea.yaml out. Pure: what has to be read
 * beside the text itself is asked of `struct import_files`. Secrets are never repeated, only their paths. */
#ifndef CARDEA_IMPORT_IMPORT_H
#define CARDEA_IMPORT_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define IMPORT_FILE_MAX ((size_t)1024 * 1024) /* bytes of one file */

/* How the world around the text is asked. Every function gets `arg`. */
struct import_files {
    void *arg;
    /* The whole of a file of at most IMPORT_FILE_MAX bytes into `ret`, which is empty; -1 with `err`. */
    int (*read)(void *arg, const char *path, struct buf *ret, struct err *err);
    /* The names in a directory, in ascending order, each with a NUL behind it, into `ret`; -1 with `err`. */
    int (*list)(void *arg, const char *path, struct buf *ret, struct err *err);
    /* base64 of the SHA-256 of the public key (SubjectPublicKeyInfo) of each certificate of a PEM file, each
     * with a NUL behind it, into `ret`; -1 with `err`. */
    int (*pins)(void *arg, const char *path, struct buf *ret, struct err *err);
    /* The TCP port that is called so (services(5)), or 0. */
    uint16_t (*port)(void *arg, const char *service);
};

/* What came of it. Freed by import_result_free(), after a failure too. */
struct import_result {
    struct buf yaml;
    struct buf json; /* {"taken_over", "not_needed", "without_equivalent", "remarks": [{file, line, ...}]} */
    /* How many settings there are of each kind. Of a service that is left out those count that a remark is
     * about. */
    size_t taken;    /* the YAML stands for them */
    size_t needless; /* they need nothing here */
    size_t missing;  /* they have no equivalent */
};

/* A program whose configuration can be read. A function is NULL where there is no such thing. */
struct import_program {
    const char *name;
    /* `path` names the file in messages and is where what it includes is looked for. */
    int (*file)(const char *path, const struct import_files *files, struct import_result *ret,
                struct err *err);
    /* Its command line, without the program's own name. */
    int (*args)(int argc, const char *const *argv, const struct import_files *files,
                struct import_result *ret, struct err *err);
};

/* NULL when there is none of that name. */
const struct import_program *import_find(const char *name);

/* Their names, NULL-terminated. */
extern const char *const import_names[];

/* Each of these reads a configuration into `ret`, zeroed by the caller. -1 with `err` of the form
 * "FILE:LINE:COLUMN: found ..., expected ..." when it cannot be read or is not one that the program would
 * take; `ret` is empty then. What `files` does not know is remarked, not an error. */
int import_stunnel(const char *path, const struct import_files *files, struct import_result *ret,
                   struct err *err);
int import_hitch(const char *path, const struct import_files *files, struct import_result *ret,
                 struct err *err);
int import_sslh(const char *path, const struct import_files *files, struct import_result *ret,
                struct err *err);
int import_sslh_args(int argc, const char *const *argv, const struct import_files *files,
                     struct import_result *ret, struct err *err);
int import_ghostunnel(int argc, const char *const *argv, const struct import_files *files,
                      struct import_result *ret, struct err *err);

void import_result_free(struct import_result *r);

#endif
