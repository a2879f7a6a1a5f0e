/* SPDX-License-Identifier: Apache-2.0 */
/* How `cardea login` asks a door: one request after the other, each waited for. */
#ifndef CARDEA_CMD_LOGIN_HTTP_H
#define CARDEA_CMD_LOGIN_HTTP_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/doh.h"
#include "base/err.h"
#include "base/hostport.h"
#include "base/tls_group.h"

struct ech_source;
struct loop;

struct login_http {
    struct loop *loop;
    char place[HOST_MAX + 8];     /* "HOST:PORT", where it is */
    char authority[HOST_MAX + 8]; /* likewise by its name */
    const char *name;             /* it has to prove; NULL: its host. Borrowed */
    enum tls_pq pq;
    const char *ca;   /* a file; NULL: the system's. Borrowed */
    const char *cert; /* a file with our certificate and its key; NULL: none. Borrowed */
    const char *ech;  /* how it is offered Encrypted ClientHello (tunnel/client.h). Borrowed, as is `doh` */
    struct doh_resolver doh;
    struct ech_source *ech_source; /* what that has told */
    bool warned;                   /* ... and the user has been told what came of it */
    bool answered;                 /* the last request had an answer, good or bad */
};

/* `door` is HOST or HOST:PORT, `name` what it has to prove to be, or NULL: its host. -1 with `err`. */
int login_http_open(struct login_http *h, const char *door, const char *name, struct err *err);
void login_http_close(struct login_http *h); /* one that is zeroed is allowed */

/* POST an object (taken over). Returns the status, with the object that was answered in *ret, which the
 * caller owns; -1 with `err` where none was, or its status tells of an error: then `err` is what the door
 * says. */
int login_http_post(struct login_http *h, const char *path, json_t *m, json_t **ret, struct err *err);

/* GET from a door that need not prove who it is. -1 with `err`. */
int login_http_get_unproven(struct login_http *h, const char *path, struct buf *ret, struct err *err);

#endif
