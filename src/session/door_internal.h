/* SPDX-License-Identifier: Apache-2.0 */
/* The door's inside, shared by its files: door.c (beginning, end, what happens by itself), door_listeners.c,
 * and door_reload.c (putting a configuration in force). */
#ifndef CARDEA_SESSION_DOOR_INTERNAL_H
#define CARDEA_SESSION_DOOR_INTERNAL_H

#include "audit/sink.h"
#include "session/crew.h"
#include "session/door.h"
#include "session/snapshot.h"
#include "session/standard.h"

struct ech_publisher;
struct reload;
struct worker_listener;

#define DOOR_MAGIC 0xd0040001u

struct door {
    uint32_t magic;
    struct loop *loop;
    struct snapshot *snap;
    struct snapshot_shared shared;
    struct admission *admission;
    struct sink_file audit;
    struct crew crew;
    struct resolver *resolver;
    struct health *health;
    struct ech_publisher *publisher;
    struct timer tick;
    door_notice *notice;
    void *notice_arg;
    door_reload_watch *reload_watch;
    void *reload_watch_arg;
    int64_t started; /* monotonic; 0 before door_start() */
    bool draining;
    bool installing;
    struct reload *next; /* asked for while another was being put in place */
    struct task next_reload;
    uint64_t lost_reported; /* audit lines */
    uint64_t unread_crls;   /* how CRL files are that could not be read (snapshot_stale()); 0: none */
    int64_t crl_retry_at;   /* ... and as long as they are so, they are not tried again before */
    uint64_t lockouts; /* stands for the CAs of whom all are refused for want of a valid CRL, as told last */
    int64_t lockouts_at;      /* when to look for more */
    struct standard standard; /* its one connection, until that begins */
    struct message over;      /* ... and when that has ended */
    void (*served)(void *arg, bool in_order);
    void *served_arg;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* Tell the owner. */
void door_notify(struct door *d, const char *text);

/* Have an office (session/office.h) where a configuration that is about to be put in force needs one. -1 with
 * `err`. */
int door_open_office(struct door *d, const struct snapshot *snap, struct err *err);

/* ---- door_listeners.c ---- */

/* Bind and watch what each worker needs for each listener of `snap` that `now` (may be NULL) does not have:
 * for the first worker, then for the second, ... NULL with a line in `errors`. */
struct worker_listener *door_bind_listeners(struct crew *crew, const struct snapshot *snap,
                                            const struct snapshot *now, struct buf *errors);

/* Close what was bound but not given to workers. */
void door_drop_listeners(struct worker_listener *listeners, size_t count);

/* ---- door_reload.c ---- */

void door_reload_init(struct door *d);

/* The first configuration goes into workers that do not run yet. -1 with a line in `errors`. */
int door_install_first(struct door *d, struct buf *errors);

/* Whoever waits in the queue hears so now, while there is somebody to tell. The one that is being put in
 * place goes on: the workers answer it even while they stop. */
void door_refuse_reloads(struct door *d);

/* Put changed CRL files in force. Listeners and the audit file are none of its business: they stay as they
 * are. */
void door_refresh_crls(struct door *d);

/* Time alone may lock out everybody of a CA, whose CRL expires: say so. */
void door_look_for_lockouts(struct door *d);

#endif
