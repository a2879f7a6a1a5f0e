/* SPDX-License-Identifier: Apache-2.0 */
/* Which route takes a connection: an immutable table, built once and then read by any number of threads
 * without locks.
 *
 * Precedence among the routes that match (listener, server name, ALPN and kind of first bytes all hold):
 *   1. the most specific server name: exact name or `none`, `*.x`, `**.x` with more labels, with fewer, any;
 *   2. the most specific ALPN: the protocol that stands earliest in the client's own list and that a route
 * names exactly; the longest prefix (of equal ones the one whose protocol stands earlier); any;
 *   3. a route that names listeners over one that does not.
 * A name whose own rules do not hold for this ALPN, listener or kind falls back to the next less specific
 * pattern. Two rules that tie in all three and overlap are an error when the table is built. */
#ifndef CARDEA_ROUTE_ROUTE_H
#define CARDEA_ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#define ROUTE_NONE UINT32_MAX
#define ROUTE_LISTENERS_MAX 256 /* listeners that rules name are numbered below this */
#define ROUTE_KINDS_MAX 32      /* kinds of first bytes are numbered below this */
#define ROUTE_ALPN_MAX 128      /* protocols of a client's list that are looked at */

/* Building */

/* What one route takes. All that it points to is copied. */
struct route_rule {
    uint32_t id;               /* what route_find() gives back; not ROUTE_NONE. Several rules may share one */
    const char *name;          /* for error texts and for route_explain() */
    const uint32_t *listeners; /* their numbers; none: every listener */
    size_t listener_count;
    uint32_t kinds; /* bit k: takes connections whose first bytes are of kind k; at least one bit is set */
    bool any_sni;   /* takes any server name and none; `sni` is empty then */
    /* "www.example.com", "*.example.com" (one label), "**.example.com" (one or more), "none" */
    const char *const *sni;
    size_t sni_count;
    /* "h2", or with a last `*` a prefix: "acme*"; no entry: any, also a client that sends none */
    const char *const *alpn;
    size_t alpn_count;
};

struct route_builder;

/* An empty builder; `key` is copied. NULL when memory is out. */
struct route_builder *route_builder_new(const struct hash_key *key);

/* Add a rule. -1 with a text that names the route and the entry when something in it is not valid; the
 * builder can only be freed then. */
int route_builder_add(struct route_builder *b, const struct route_rule *rule, struct err *err);

/* Add names to the rule that was added last, as the text of a names file: one exact name a line, `#` begins a
 * comment, blank lines count for nothing. -1 with "line N: ..." for the first bad one. Memory: the name, and
 * about 20 bytes. */
int route_builder_names(struct route_builder *b, const char *text, size_t len, struct err *err);

struct route_table;

/* Check for ties and make the table. Frees the builder in every case. NULL with `err`, which names both
 * routes and the server name and ALPN on which they collide, or the route that has no server name at all. */
struct route_table *route_builder_finish(struct route_builder *b, struct err *err);

/* Give a builder up without a table. NULL is fine. */
void route_builder_free(struct route_builder *b);

void route_table_free(struct route_table *t);

/* Looking up */

struct route_query {
    uint32_t listener;
    uint8_t kind;   /* of first bytes; below ROUTE_KINDS_MAX */
    struct str sni; /* in lower case; p NULL or no bytes: the client sent none. A last dot is passed over */
    /* The names of a ProtocolNameList (RFC 7301, 3.1), each after its one-byte length, without the two bytes
     * of length of the whole list. No bytes: the client sent none. */
    const uint8_t *alpn;
    size_t alpn_len;
    bool any_alpn; /* take every rule's ALPN to hold: is it only the protocol that stands in the way? */
};

struct route_match {
    uint32_t route; /* the rule's id, or ROUTE_NONE */
    /* The client's protocol that the rule's ALPN matched, in the query's bytes; p NULL: the rule takes any.
     */
    struct str alpn;
};

/* The route that takes this connection. Allocates nothing, locks nothing; bounded time whatever the bytes
 * are. */
struct route_match route_find(const struct route_table *t, const struct route_query *q);

/* Telling people */

struct route_row {
    uint32_t route;
    const char *name; /* of the route */
    const char *sni;  /* a pattern as written, "none" or "any" */
    size_t more;      /* for an exact name: how many further exact names the same rule has, that get no row */
    const char *alpn; /* "h2, acme*" or "any" */
    bool names_listener; /* the rule is for some listeners only */
};

/* Call `each` with every rule once per server name pattern, from the most to the least specific (exact names
 * of one rule: one row for all). The texts live during the call only. -1 when memory is out. */
int route_explain(const struct route_table *t, void (*each)(void *arg, const struct route_row *row),
                  void *arg);

/* What becomes of one rule in a lookup. The first thing that stands in the way, in this order. */
enum route_verdict {
    ROUTE_TAKES,      /* the connection */
    ROUTE_OTHER_NAME, /* none of its names holds */
    ROUTE_OTHER_KIND, /* of first bytes */
    ROUTE_OTHER_LISTENER,
    ROUTE_OTHER_ALPN,
    ROUTE_COMES_LATER, /* it would take it, but another has precedence */
};

struct route_trial {
    uint32_t route;
    const char *name; /* of the route */
    const char *sni;  /* the name or pattern that holds, "none" or "any"; NULL: ROUTE_OTHER_NAME */
    const char *alpn; /* "h2, acme*" or "any" */
    enum route_verdict verdict;
};

/* Look a connection up as route_find() does and call `each` with every rule in the order of precedence of
 * names: a rule once for each of its patterns that hold, those of which none does at the end. The texts live
 * during the call only. -1 when memory is out. */
int route_trace(const struct route_table *t, const struct route_query *q,
                void (*each)(void *arg, const struct route_trial *trial), void *arg);

/* Distinct server names and patterns in the table, and the bytes of heap it takes. */
size_t route_table_names(const struct route_table *t);
size_t route_table_bytes(const struct route_table *t);

#endif
