/* SPDX-License-Identifier: Apache-2.0 */
/* What the running door tells about itself and lets itself be told, over HTTP: on a unix socket that only
 * its owner may open (GET /status, GET /sessions, GET /certificates, GET /metrics, POST /reload, POST
 * /certificates/swap), and, where the configuration says so, GET /metrics on a TCP port. */
#ifndef CARDEA_ADMIN_SERVER_H
#define CARDEA_ADMIN_SERVER_H

#include "keeper/listing.h"
#include "session/door.h"

#define ADMIN_SOCKET_MAX 108 /* bytes of a unix socket's path with its NUL (sun_path) */

struct admin;
struct ca_end;
struct candidates;
struct demand_figures;

#define ADMIN_SYSTEM_SOCKET "/run/cardea.sock"
#define ADMIN_SERVICE_SOCKET \
    "/run/cardea/cardea.sock" /* as packaged: a folder that the service may write to */

/* Where a door has its socket when nobody says otherwise: $XDG_RUNTIME_DIR/cardea.sock, else
 * ADMIN_SYSTEM_SOCKET. Those who look for a door try both, in this order, and ADMIN_SERVICE_SOCKET. Returns
 * `text`. */
const char *admin_default_socket(char text[ADMIN_SOCKET_MAX]);

/* Open the door's admin socket and metrics port, as its configuration says; the loop is the control thread's.
 * NULL with `err`. */
struct admin *admin_new(struct loop *loop, struct door *door, struct err *err);

/* Let somebody else know how each reload went that the admin API was asked for; called before the asker gets
 * his answer. */
void admin_set_reloaded(struct admin *admin, door_reloaded *reloaded, void *arg);

/* Who tells of certificates that are not files of the configuration: asked and answering on the control
 * thread. */
void admin_set_listing(struct admin *admin, listing_ask *ask, void *arg);

/* Who serves backups: as keeper_swap(). */
typedef void swap_done(void *arg, size_t swapped, size_t left, const struct err *err);
typedef void swap_ask(void *arg, const char *name, const char *ca, swap_done *done, void *done_arg);
void admin_set_swap(struct admin *admin, swap_ask *ask, void *arg);

/* What was swapped of certificates in files; outlives it. */
struct swaps;
void admin_set_swaps(struct admin *admin, const struct swaps *swaps);

/* Who knows of names on demand. `forget` is asked on the control thread, and answers there, from within or
 * later: how many lineages it had, or -1 with `err`, and how many certificates were revoked before. */
typedef void demands_forgotten(void *arg, int count, int revoked, const struct err *err);
struct admin_demands {
    const struct demand_figures *figures; /* NULL: there is nobody */
    void (*forget)(void *arg, const char *name, bool revoke, demands_forgotten *done, void *done_arg);
    void *arg;
};
void admin_set_demands(struct admin *admin, const struct admin_demands *demands);

/* When the certificates of the door's CA end, as ca_publisher_ends() tells. False: it has none. */
typedef bool admin_ca_fn(void *arg, struct ca_end *ret_root, struct ca_end *ret_intermediate);
void admin_set_ca(struct admin *admin, admin_ca_fn *ends, void *arg);

/* The CA has taken the settings that are in force now: nothing about it is outdated. */
void admin_took_ca(struct admin *admin);

/* Close everything and remove the socket's file. Not from within a request; before door_free(). The loop may
 * have stopped. NULL is allowed. */
void admin_free(struct admin *admin);

/* Where the socket is. */
const char *admin_socket(const struct admin *admin);

#define ADMIN_OUTDATED_MAX 128

/* The sockets and the workers stay those of the start, and the CA does until admin_took_ca(). After a reload:
 * a line that says that the configuration in force wants others and how it gets them, or NULL. Returns
 * `text`. */
const char *admin_outdated(const struct admin *admin, char text[ADMIN_OUTDATED_MAX]);

/* Where POST /stage keeps what it is told; it must outlive the API. NULL, as before: that is refused. */
void admin_set_candidates(struct admin *admin, struct candidates *candidates);

#endif
