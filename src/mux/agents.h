/* SPDX-License-Identifier: Apache-2.0 */
/* Who offers what. Each worker has a view of all offers and asks nobody: what one worker learns it tells the
 * others by messages. An offer lives on the worker that its agent's connection came to, its home; a visitor
 * on any worker finds the offer in his own view and sends an errand home for a link to the agent. */
#ifndef CARDEA_MUX_AGENTS_H
#define CARDEA_MUX_AGENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "link/link.h"
#include "mux/offer.h"
#include "net/addr.h"

struct agent;  /* an offer that some agent holds; shared by all workers, counted */
struct agents; /* a worker's view */
struct agents_hub;
struct errand;
struct agent_protocol; /* session/front.h */
struct pipe_scratch;

#define AGENT_LABEL_MAX 256
#define AGENT_FINGERPRINT 32

/* ---- views ---- */

/* For so many workers. */
struct agents_hub *agents_hub_new(size_t workers);

/* After the last view. NULL is allowed. */
void agents_hub_free(struct agents_hub *hub);

/* The view of worker `index`, whose links live at `home` and whose pipes use `scratch`. Before any worker
 * runs. */
struct agents *agents_new(struct agents_hub *hub, unsigned index, const struct link_home *home,
                          struct pipe_scratch *scratch);

/* After the last session of every worker, once their messages have been delivered, and before the loop is
 * freed. NULL is allowed. */
void agents_free(struct agents *view);

/* Does this worker carry bytes for visitors who are on others? It does so without a session. */
bool agents_busy(const struct agents *view);

/* Call `quiet` each time when it no longer does. */
void agents_when_quiet(struct agents *view, void (*quiet)(void *arg), void *arg);

/* Ask `reserve` for each descriptor that is needed to carry something for others, and tell `release` when it
 * is free again. */
void agents_count_descriptors(struct agents *view, bool (*reserve)(void *), void (*release)(void *),
                              void *bank);

/* Break off what it carries for others; `quiet` is not called. */
void agents_break_off(struct agents *view);

/* ---- offering: at home ---- */

struct agent_ops {
    /* A visitor wants a link to the agent: answer with errand_give() or errand_fail(), now or later. */
    void (*wanted)(void *owner, struct errand *e);
    /* A connection that the agent was granted an id for (agent_grant) has come; the link is the owner's.
     * NULL: it got lost on the way. */
    void (*brought)(void *owner, struct link *link);
    /* Another offer of the name has come or gone; `came`: who has come, where that is another agent; else
     * NULL. */
    void (*changed)(void *owner, const struct agent *came);
    /* Two workers took offers of the name at once that do not go together, and `by` wins, whose id is lower:
     * withdraw this one. */
    void (*beaten)(void *owner, const struct agent *by);
    /* The door is packed: give up what waits for nobody yet. May be NULL. */
    void (*packed)(void *owner);
};

struct agent_terms {
    struct offer offer;
    char identity[AGENT_LABEL_MAX];         /* who the agent has proven to be */
    uint8_t fingerprint[AGENT_FINGERPRINT]; /* of its certificate: SHA-256 */
    struct net_addr peer;                   /* where it came from when it offered */
    const char *transport;                  /* what carries the offer; static, NULL: TCP */
    int64_t since;                          /* wall clock */
    const struct agent_protocol *protocol;  /* that visits are announced in */
    uint64_t bandwidth;                     /* bytes a second under the name; 0: no limit */
    int64_t grace;                          /* nanoseconds that a name offered end-to-end is kept so */
    const struct agent_ops *ops;
    void *owner;
};

/* The offer holds from now on; a reference for the caller, who withdraws it. NULL: others offer the name in
 * another kind, or at another port; or one offered it end-to-end until less than its `grace` ago, and this is
 * another kind from somebody else: visitors who have to do with the one are not to be led to the other. */
struct agent *agents_offer(struct agents *view, const struct agent_terms *terms);

/* Why an offer ends: the agent's connection broke, it was told to stop, it may not offer this any more, or
 * another worker took one at the same time that this does not go with. Visitors wait for another after all
 * but AGENTS_BARRED. */
enum agents_leave { AGENTS_NEVER, AGENTS_LOST, AGENTS_STOPPED, AGENTS_BARRED, AGENTS_BEATEN };

/* It no longer holds. The owner is called no more; its errands are the owner's to fail. */
void agents_withdraw(struct agents *view, struct agent *a, enum agents_leave how);

/* Send visitors, or none for the time being: the agent stops. */
void agents_set_ready(struct agents *view, struct agent *a, bool ready);

/* The agent's health check finds the service down: send it no visitors. `down` says how, in numbers of the
 * owner's own; 0: it is up again. */
void agents_set_down(struct agents *view, struct agent *a, unsigned down);

/* What is sent to the agent is not acknowledged, or is again: it is no choice meanwhile, and those whom it
 * has not answered yet may look for another. */
void agents_set_unheard(struct agents *view, struct agent *a, bool unheard);

/* Grant an id for one connection, good until `expires` (monotonic). False when all that there may be are out.
 */
bool agent_grant(struct agent *a, int64_t now, int64_t expires, char ret_id[OFFER_ID_TEXT]);

/* How many ids are out that may still be used. */
size_t agent_grants_out(const struct agent *a, int64_t now);

/* ---- connections brought: on any worker ---- */

/* The offer that this id was granted for, to an agent with this certificate; the id is used up. A reference
 * for the caller. NULL: it is none, used, too old, or somebody else's. */
struct agent *agents_redeem(struct agents *view, const char *id,
                            const uint8_t fingerprint[AGENT_FINGERPRINT]);

/* Send the connection home (link_moves() must hold); the link is taken over. */
void agents_bring(struct agents *view, struct agent *a, struct link *link);

/* ---- visitors: on any worker ---- */

enum agents_presence {
    AGENTS_NONE,
    AGENTS_EXPECTED, /* none now; one was there lately, or the door has only just begun */
    AGENTS_PRESENT,
};

/* Is there an offer of this name? *ret_kind is set when AGENTS_PRESENT. */
enum agents_presence agents_find(struct agents *view, const char *name, int64_t grace,
                                 enum offer_kind *ret_kind);

/* For who may visit no other: is the name offered to everybody, or is it AGENTS_EXPECTED and may come back
 * so? The last who offered it did so; or the door has only just begun, when of any name nobody knows. Whether
 * a name is offered in private makes no difference else. */
bool agents_may_be_public(struct agents *view, const char *name, int64_t grace);

/* How the last agent that offered the name went; NEVER: none did, as far as is remembered. */
enum agents_leave agents_left(struct agents *view, const char *name);

/* Of the agents that offer the name the one with the lowest id, which is the same in each view that knows of
 * them all; a reference for the caller. NULL: there is none. */
struct agent *agents_first(struct agents *view, const char *name);
/* Is it that one? */
bool agents_is_first(struct agents *view, const struct agent *a);

/* The same, but one whose service is down, and how; NULL too where that of another is not. */
struct agent *agents_down(struct agents *view, const char *name, unsigned *ret_down);

/* An agent whose offer, of another name, is at that port of the door; a reference for the caller. NULL: none
 * is. */
struct agent *agents_at_port(struct agents *view, uint16_t port, bool udp, const char *other_than);

/* Somebody who waits for an offer of a name; embed it. */
struct agents_waiter {
    struct list node;
    void (*wake)(struct agents_waiter *);
};

/* Be woken (once, at the end of the round) when there is news of the name. list_remove(&w->node) takes it
 * back. */
void agents_wait(struct agents *view, const char *name, struct agents_waiter *w);

#define AGENTS_TRIED_MAX 8

#define AGENTS_ANY_KIND (-1)

/* The agent to try now: of that kind (enum offer_kind), ready, not among the `tried` ids, with the fewest
 * visitors, and of several such the one to which none was led from here for longest; one that has just failed
 * comes last. A reference for the caller. NULL: there is none. */
struct agent *agents_pick(struct agents *view, const char *name, int kind, const uint64_t *tried,
                          size_t tried_len);

/* The door is packed: the owners of the offers whose home is here are told. */
void agents_packed(struct agents *view);

/* Call `each` with every offer whose home is here; a reference makes it last. */
void agents_each(struct agents *view, void (*each)(void *arg, struct agent *a), void *arg);

/* Offers of a name. */
size_t agents_count(struct agents *view, const char *name);

/* Offers of the same name as `a` that other agents make, at most OFFER_FELLOWS_MAX are counted;
 * *ret_identity is that of one of them, as long as nothing is heard of the name. An agent that has offered
 * anew is no other, while what it offered before is not known to be gone. */
size_t agents_fellows(struct agents *view, const struct agent *a, const char **ret_identity);

/* Is an agent of that identity among those? */
bool agents_has_fellow(struct agents *view, const struct agent *a, const char *identity);

/* Visitors of all offers of a name. */
size_t agents_visitors(struct agents *view, const char *name);

/* How many the agents that offer the name take at once, as far as they say; SIZE_MAX: one does not say. */
size_t agents_places(struct agents *view, const char *name);

/* How many names this view keeps: offered, waited for, or remembered; for tests. */
size_t agents_names(const struct agents *view);

/* Ask for a link to the agent. `arrived` is called once, later, with the link (the owner's from then on), or
 * NULL when there is none to be had; `gone`: for the offer has ended. `unproven`: anybody may have made up
 * who visits. */
struct errand *agents_visit(struct agents *view, struct agent *a, bool unproven,
                            void (*arrived)(void *owner, struct link *link, bool gone), void *owner);

/* Nobody waits for it any more. NULL is allowed. */
void errand_cancel(struct errand *e);

/* ---- errands: at home ---- */

/* The link that a visitor gets; taken over. */
void errand_give(struct errand *e, struct link *link);
void errand_fail(struct errand *e);

/* Has the visitor gone meanwhile? Then errand_fail() it. */
bool errand_is_void(const struct errand *e);

/* As agents_visit() was told. */
bool errand_is_unproven(const struct errand *e);

/* For the owner, to keep it in a list while it waits. */
struct list *errand_node(struct errand *e);
struct errand *errand_of_node(struct list *node);

/* ---- what is known of an agent: on any worker ---- */

/* References are counted, from any thread. NULL is allowed to be given up. */
struct agent *agent_ref(struct agent *a);
void agent_unref(struct agent *a);
uint64_t agent_id(const struct agent *a);
const struct offer *agent_offer(const struct agent *a);
const char *agent_identity(const struct agent *a);
const struct agent_protocol *agent_protocol(const struct agent *a);

/* Why it takes no visitors, as agents_set_down() has it; 0: the service is not known to be down. */
unsigned agent_is_down(const struct agent *a);

/* It has said that it stops (agents_set_ready()), and may be gone by now. */
bool agent_is_stopping(const struct agent *a);

/* As agents_set_unheard() has it. */
bool agent_is_unheard(const struct agent *a);

/* What is told of an offer; the texts live as long as the agent. */
struct agent_facts {
    const struct offer *offer;
    const char *identity;
    const struct net_addr *peer;
    const char *transport; /* NULL: TCP */
    int64_t since;         /* wall clock */
    bool ready;
    unsigned down;
    uint32_t visitors;  /* now */
    uint64_t visits;    /* that the agent has taken, of all time */
    uint64_t bytes_in;  /* from visitors who have left */
    uint64_t bytes_out; /* to them */
};

struct agent_facts agent_facts(const struct agent *a);

/* A visitor counts from agent_enter() to agent_exit(). */
void agent_enter(struct agent *a);
void agent_exit(struct agent *a);

/* One whom the agent had taken has left: so many bytes came from him and went to him. */
void agent_visited(struct agent *a, uint64_t bytes_in, uint64_t bytes_out);

/* It did not serve a visitor: others are tried before it for a second, and twice as long each time that it
 * fails again after that, up to 32 s. Or it did. */
void agent_failed(struct agent *a, int64_t now);
void agent_succeeded(struct agent *a);

/* From now on, for all offers of the name; 0: no limit. */
void agent_set_bandwidth(struct agent *a, uint64_t bandwidth);

/* How much one visitor may move in one turn without overdrawing the name's bandwidth, at least 1 KiB;
 * SIZE_MAX where there is no limit. When it is used up: for how many nanoseconds nothing may be moved, else
 * 0. */
int64_t agent_allow(const struct agent *a, int64_t now, size_t *ret_bytes);

/* Charge what was moved to it. */
void agent_charge(struct agent *a, int64_t now, uint64_t bytes);

#endif
