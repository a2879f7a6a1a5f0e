/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a configuration of cardea that every import makes: what is the same in all of them. */
#ifndef CARDEA_IMPORT_DOOR_H
#define CARDEA_IMPORT_DOOR_H

#include "import/setting.h"

/* `text` as a name that a configuration may give (letters, digits, '.', '_', '-'; at most 64), and that no
 * other item of `list` has. */
const char *door_name(struct import *im, const struct node *list, const char *text);

/* A listener with that address; NULL: its name is the only thing known. Its name is `stem`, made unique. */
struct node *door_listener(struct import *im, const char *stem, const char *address);

/* A route for the listener with that name, NULL for all. Its name is `stem`, made unique. */
struct node *door_route(struct import *im, const char *stem, const char *listener);

/* The label of the certificate in these files, added where there is none yet; named after `stem`. */
const char *door_certificate(struct import *im, const char *stem, const char *certificate, const char *key);

/* The PEM file that cardea reads for the file of a setting: for a keystore (PKCS#12, Java's) the one that it
 * is to be converted to, with a remark at `n`. */
const char *door_pem(struct import *im, struct node *n, struct setting *s);

/* The name of the bundle of these lists of texts (`crl` may be empty); added where there is none yet. */
const char *door_trust(struct import *im, const char *stem, const struct node *ca, const struct node *crl);

/* Ask clients of the route for a certificate: mode "required" or "optional". */
void door_clients(struct node *route, const char *mode, const char *trust);

/* Let those whose certificate has one of `values` (a list of texts) as `key` use the route; NULL: everybody
 * whom the route's 'clients' proves. */
void door_allow(struct import *im, const struct node *route, const char *key, const struct node *values);

/* Split HOST:PORT at the last ':'; brackets around the host are left out. False, with nothing given back,
 * where there is no ':'. */
bool door_split(struct import *im, const char *text, const char **ret_host, const char **ret_port);

/* "HOST:PORT", with brackets around IPv6. */
const char *door_address(struct import *im, const char *host, const char *port);

/* A port, as a number or as services(5) calls it, in decimal. NULL, with a remark at `n`, when nobody knows
 * it. */
const char *door_port(struct import *im, struct node *n, struct setting *s, const char *port);

/* Where a listener with this host ("", "*": every address) and port listens. A name that is not
 * localhost is remarked, and stands for loopback: nothing is opened to more than before. NULL as door_port().
 */
const char *door_listen(struct import *im, struct node *n, struct setting *s, const char *host,
                        const char *port);

/* Tell the backend of the route who the client is, in a PROXY header: "v1" or "v2". Returns its 'hand_on'. */
struct node *door_proxy(struct node *route, const char *version);

/* A list of curves apart by ':' into 'groups' of `tls`, those that cardea has; others are remarked. */
void door_groups(struct import *im, struct node *n, struct node *tls, struct setting *s);

/* The names in a directory that match `glob`, as paths, into a list of texts; -1 when it cannot be read. */
int door_directory(struct import *im, const char *directory, const char *glob, struct node *list);

/* The pins of the certificates in a file into a list of texts; none where it cannot be read. */
void door_pins(struct import *im, const char *path, struct node *list);

/* Where cardea finds the CAs of the system, where it has to be a file (Debian and its relatives). */
#define DOOR_SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

#endif
