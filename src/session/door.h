/* SPDX-License-Identifier: Apache-2.0 */
/* The whole door: workers, the configuration in force, what outlives it. Lives on the control thread's loop,
 * which also runs signals, health checks, ticket rotation, CRL watching and the admin API. */
#ifndef CARDEA_SESSION_DOOR_H
#define CARDEA_SESSION_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/census.h"
#include "session/ending.h"
#include "session/offers.h"
#include "session/whois.h"

struct buf;
struct cert_provider;
struct config;
struct door;
struct err;
struct door_bindings;
struct loop;
struct message;
struct review;
struct route_counters;
struct snapshot;
struct set_aside;
struct staging;

/* Things that happen by themselves and that somebody may want to read, as one line of text. */
typedef void door_notice(void *arg, const char *text);

/* Build workers for `config` (taken, also on failure) and bind its listeners. Nothing is accepted before
 * door_start(). The loop is the control thread's; `bindings` must outlive the door. NULL with lines of errors
 * appended to `errors`. */
struct door *door_new(struct loop *loop, struct config *config, const struct door_bindings *bindings,
                      struct buf *errors);

/* The source has other certificates than before for `name`, for all below it when it is "*.example.com", or
 * for every name (NULL): the next handshake on any worker asks for them. The name is copied. Control thread.
 */
void door_forget_certificates(struct door *door, const char *name);

/* Where notices go. */
void door_set_notice(struct door *door, door_notice *notice, void *arg);

/* Does the door serve one connection only, at standard input and output? When that has ended `served` is
 * called on the control thread, with whether both sides ended in order; then it is time for door_drain(). Set
 * before door_start(). */
bool door_is_for_one(const struct door *door);
void door_set_served(struct door *door, void (*served)(void *arg, bool in_order), void *arg);

/* Start the workers. -1 with `err`. */
int door_start(struct door *door, struct err *err);

/* Called once the new configuration is in force in every worker, with what that has done so far; or at once,
 * with NULL, when it was refused: `errors` are lines of text. Both are borrowed. */
typedef void door_reloaded(void *arg, const struct review *review, const char *errors);

/* Told when a reload begins (`under_way`), and when it has ended, whatever came of it. */
typedef void door_reload_watch(void *arg, bool under_way);

/* Who is told of each reload, whoever asks for it. */
void door_set_reload_watch(struct door *door, door_reload_watch *told, void *arg);

/* Read the configuration file again and put it in force without touching live connections. A wrong one is
 * refused whole and the old one stays. The audit file is opened anew. */
void door_reload(struct door *door, door_reloaded *done, void *arg);

/* Could the configuration in force be served with this beside it? Lines in `errors` when it could not. */
bool door_try_staging(struct door *door, struct staging *staging, struct buf *errors);

/* Put that beside the configuration (a reference is taken), from the next handshake on and for configurations
 * to come; no connection is touched. `done` as for a reload; it waits for its turn among these. */
void door_put_staging(struct door *door, struct staging *staging, door_reloaded *done, void *arg);

/* Serve the backups of these, and of no others; the rest as door_put_staging(). */
void door_put_aside(struct door *door, struct set_aside *aside, door_reloaded *done, void *arg);

/* Stop accepting, let connections end for as long as the configuration allows, then close the rest; `done` is
 * called when all workers have stopped. Reloads that wait for their turn are refused at once; the answer of
 * one that is under way may come after `done`, with what the loop then still has to deliver. A second call
 * closes what is left at once. */
void door_drain(struct door *door, void (*done)(void *arg), void *arg);

/* Free everything; after `done` of door_drain() and a last loop_deliver(), or before door_start(). */
void door_free(struct door *door);

/* ---- for the admin API; control thread ---- */

/* The configuration in force. */
const struct snapshot *door_snapshot(const struct door *door);

/* Who keeps HTTPS records up to date (ech/publisher.h). Borrowed. */
struct ech_publisher *door_publisher(const struct door *door);

/* For how many names of backends the DNS does not tell the ECHConfigs now. */
size_t door_ech_untold(const struct door *door);

/* Connections now. */
size_t door_connections(const struct door *door);

/* Packets of QUIC that workers have handed to each other so far, and how many of them were dropped since too
 * many waited. */
uint64_t door_packets_astray(const struct door *door, uint64_t *ret_dropped);

/* Ask every worker for a sign of life: `done` is called on the control thread once all have given one, and
 * never while one of them hangs. */
void door_ask_workers(struct door *door, void (*done)(void *arg), void *arg);

/* Run a message where the services run: on the office's thread, see office_post(), or at once where there is
 * no office. */
void door_post_office(struct door *door, struct message *m);

/* Are the workers as many as the configuration in force wants? Their number is taken at the start only. */
bool door_has_its_workers(const struct door *d);

/* Nanoseconds since door_start(). */
int64_t door_uptime(const struct door *door);

/* What a route has counted; `index` is its place in the configuration. The blocks are the door's. */
struct route_counters door_route_counters(const struct door *door, size_t index);

/* The same for connections that ended before they had a route; its `route` is "-". */
struct route_counters door_unrouted_counters(const struct door *door);

/* Requests to that service, by its place among the door's services, that were answered with a status of that
 * hundred (1 to 5). The place behind the last one: those that none had. */
uint64_t door_requests(const struct door *door, size_t service, unsigned hundred);

/* What the door was made with. */
const struct door_bindings *door_bindings(const struct door *door);

/* census_take() of all workers; `done` is called on the control thread, later. */
void door_sessions(struct door *door, size_t limit, census_told *done, void *arg);

/* Collect what agents offer, then call `done` (on the control thread, later). */
void door_offers(struct door *door, offers_told *done, void *arg);

/* End an open connection, see ending_begin(); `done` on the control thread, later. */
void door_end(struct door *door, uint64_t id, ending_told *done, void *arg);

/* Who is on the other end of a connection, see whois_ask(); `done` on the control thread, later. */
void door_whois(struct door *door, const struct whois_query *query, whois_told *done, void *arg);

#endif
