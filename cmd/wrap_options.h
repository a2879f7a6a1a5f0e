/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea wrap` is told on its command line, and the configuration that says the same. */
#ifndef CARDEA_CMD_WRAP_OPTIONS_H
#define CARDEA_CMD_WRAP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define WRAP_MANY_MAX 64 /* times that an option may be given */

/* An option that may be given several times. */
struct wrap_many {
    const char *v[WRAP_MANY_MAX];
    size_t n;
};

struct wrap_options {
    bool client; /* we speak TLS to `to`; else to those who come to `listen` */
    struct wrap_many listen;
    struct wrap_many to;
    struct wrap_many cert;
    struct wrap_many key;
    struct wrap_many alpn;
    struct wrap_many allow;
    struct wrap_many expect; /* client: what the server must prove: a name, KIND=VALUE, any */
    const char *ca;          /* client: who may vouch for the server */
    const char *ech;         /* client: what to offer of Encrypted ClientHello */
    const char *doh;         /* ... and who tells the configs for it, and who may vouch for him */
    const char *doh_ca;
    const char *doh_proxy; /* ... and through whom he is asked, sealed with which keys */
    const char *doh_configs;
    const char *clients;  /* server: who may vouch for clients */
    bool optional;        /* ... who may as well show nothing */
    const char *starttls; /* a protocol, or with a '/' or '.' in it a file */
    const char *chat;     /* client: a script of chat(8) in its place */
    bool plaintext;
    const char *proxy; /* the version of a PROXY header, or NULL */
    bool headers;
    const char *tell; /* the protocol in which the server is told of the client */
    const char *min_version;
    const char *pq;
    const char *audit;
    const char *socket;
    bool print;
};

/* A kind of --expect; the last but one is a name that stands for itself, the last asks for nothing. */
enum wrap_expected {
    WRAP_EXPECT_URI,
    WRAP_EXPECT_PIN,
    WRAP_EXPECT_ISSUER,
    WRAP_EXPECT_NAME,
    WRAP_EXPECT_ANY
};

/* Of which kind is it? What stands behind "KIND=" is put into *ret_value, else all of it. */
enum wrap_expected wrap_expected_of(const char *what, const char **ret_value);

/* Does the server need to prove nothing? Of options that wrap_check() has let through. */
bool wrap_expects_anyone(const struct wrap_options *o);

/* Do the options go together? CMD_OK, or what to exit with: it has been said why not. */
int wrap_check(const struct wrap_options *o);

/* Read the command line; argv[0] is the verb with its first word. CMD_OK, or what to exit with: the usage has
 * been printed, with *ret_asked when it was asked for. */
int wrap_options_read(int argc, char **argv, struct wrap_options *ret, bool *ret_asked);

/* Append the configuration that does what the options say. Line numbers that come from an option's value are
 * noted in `flags`: the option's name, or NULL, for each line from 1 on. */
#define WRAP_LINES_MAX 512
void wrap_options_config(const struct wrap_options *o, struct buf *to, const char *flags[WRAP_LINES_MAX]);

#endif
