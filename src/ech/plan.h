/* SPDX-License-Identifier: Apache-2.0 */
/* Which HTTPS records a publisher (ech/publisher.h) keeps, how they reach the DNS, and how it
 * is with each. */
#ifndef CARDEA_ECH_PLAN_H
#define CARDEA_ECH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/addr.h"

struct ech_records;

/* What is published, and how. */
struct ech_publisher_settings {
    const char *const *names; /* at most ECH_NAMES_MAX */
    size_t names_len;
    const char *alpn;     /* that the records say, apart by ','; "" */
    int64_t ttl, settle;  /* seconds: of the records; and that all name servers need to have a new one */
    char *const *hook;    /* a program and its words, to a NULL; NULL: by DNS UPDATE */
    int64_t hook_timeout; /* ns */
    struct net_addr server;
    const char *zone, *key_name, *secret_file;
};

/* A name, and what has become of its record. */
struct ech_target {
    char *name;
    int64_t due;      /* in this pass: the key to give it; 0: none */
    int64_t retry_at; /* seconds since 1970; 0: it did not fail */
    int64_t wait;     /* seconds, of the last time */
    char error[256];  /* of the last time; "": it went well */
};

/* The settings, as copies. Zeroed: nothing is published. */
struct ech_plan {
    struct ech_target *targets;
    size_t n;
    char *alpn, *zone, *key_name, *secret_file;
    char **hook; /* its words; NULL: by DNS UPDATE */
    int64_t hook_timeout;
    int64_t ttl, settle;
    struct net_addr server;
};

/* Copy the settings into `plan`, whose content before is not freed; ECH_NAMES_MAX names at most. */
void ech_plan_make(struct ech_plan *plan, const struct ech_publisher_settings *s);

/* It is zeroed. */
void ech_plan_free(struct ech_plan *plan);

/* Are the settings of both the same? */
bool ech_plan_is(const struct ech_plan *a, const struct ech_plan *b);

/* Do both reach the DNS in the same way? */
bool ech_plan_goes_as(const struct ech_plan *a, const struct ech_plan *b);

/* What a record says beside the key, to tell whether it says the same. */
#define ECH_SAID_MAX 512
void ech_plan_said(const struct ech_plan *plan, char ret[ECH_SAID_MAX]);

struct ech_plan_time {
    int64_t newest; /* key of the ring (ech/ring.h); 0: there is none, which the ring tells */
    bool hurry;     /* all is due, whatever has failed */
    bool anew;      /* ... is what says something else beside the key, too */
    int64_t now;    /* seconds since 1970 */
};

/* Find the key that each target is due, by what is known of records. Is any? */
bool ech_plan_find_due(struct ech_plan *plan, const struct ech_records *known,
                       const struct ech_plan_time *when);

/* It is tried again, later each time. */
void ech_target_failed(struct ech_target *t, const char *why, int64_t now);
void ech_target_done(struct ech_target *t);

/* What is told of those that have failed; "": none has. */
void ech_plan_failures(const struct ech_plan *plan, struct err *ret);

/* NULL: it is not published. */
struct ech_target *ech_plan_target(const struct ech_plan *plan, const char *name);

/* What has failed with names that stay waits as long as it would have. */
void ech_plan_keep_waits(struct ech_plan *plan, const struct ech_plan *before);

#endif
