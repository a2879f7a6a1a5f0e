/* SPDX-License-Identifier: Apache-2.0 */
/* The session's inside, shared by its files: session.c (the driver, deadlines, teardown) and report.c (what
 * is told about it), and those of the steps: peek.c (bytes before TLS), authorise.c (who it is and where to),
 * preamble.c (STARTTLS), relays.c (the same where client and backend hear each other), meet.c (who offers a
 * name), certify.c (which certificate he is shown), challenge.c (a CA that comes for a challenge of
 * acme-tls/1), reach.c (towards the backend or target), programs.c (where that is a program), greet.c (what
 * it hears first), visit.c (towards an agent), carry.c (bytes both ways, last words), unserved.c (no
 * backend); rejudge.c (what runs, by a policy that came later), expiry.c (what outlives its client's
 * certificate). */
#ifndef CARDEA_SESSION_SESSION_INTERNAL_H
#define CARDEA_SESSION_SESSION_INTERNAL_H

#include "base/alert.h"
#include "ech/offer.h"
#include "ech/open.h"
#include "hello/scan.h"
#include "loop/loop.h"
#include "mux/agents.h"
#include "pipe/pipe.h"
#include "policy/policy.h"
#include "session/cert_desk.h"
#include "session/dial.h"
#include "session/front.h"
#include "session/resident.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/snapshot.h"
#include "starttls/starttls.h"

enum session_state {
#define X(name, step, word, deadline, reason) SESSION_##name,
#include "tables/states.def"
#undef X
    SESSION_CLOSED
};

#define TARGET_TEXT_MAX (HOST_MAX + 16)

/* On the way to an agent. */
struct visit {
    char name[HOST_MAX]; /* what is visited; "": no agent is */
    int kind;            /* enum offer_kind: what the visitor was let in for; or VISIT_ANY_KIND */
    struct agents_waiter waiter;
    struct session *session; /* that waits */
    struct errand *errand;
    struct link *arrived; /* what the errand brought */
    bool gone;            /* it brought nothing, for the offer has ended */
    uint16_t port;        /* of the door, that he came to; 0: to none */
    bool udp;             /* ... in datagrams */
    bool missed;          /* what was asked for as a host he may visit, but nobody offers it */
    bool uninvited; /* the policy does not let him visit the name, but whoever may offer it to everybody */
    bool back;      /* it is back, with or without a link */
    unsigned dead;  /* connections that were ready and turned out dead */
    bool waits_for_another;           /* the last one is not heard: news of the name are worth waiting for */
    uint64_t tried[AGENTS_TRIED_MAX]; /* the present one included */
    size_t tried_len;
    struct buf answer;         /* the agent's, as it comes in */
    struct buf first;          /* what the visitor has said before the agent's answer: kept until then */
    size_t sent;               /* of it, to the agent */
    uint64_t acked;            /* bytes of the connection to it, before */
    bool greeted;              /* it has been told of the visitor */
    bool speaks;               /* the visitor is heard before the answer */
    bool ended;                /* `first` is all that he says */
    struct front_greeted last; /* what the agent that was tried last said */
    bool service_down;         /* ... itself: that its service does not take him */
};

/* How far GREET is: see greet.c. */
enum greet_phase { GREET_HEADER, GREET_ASK, GREET_TLS, GREET_SETTLE, GREET_OVER };

/* What is said in protocols other than TLS, with the client before it, with the backend before it and in
 * place of the client. */
struct talk {
    struct plan *scripts;          /* held: where `spoken` and what the far dialogue speaks live; or NULL */
    const struct starttls *spoken; /* what the client speaks in the clear before TLS; NULL: nothing */
    struct starttls_run *near;     /* ... with him */
    bool in_clear;                 /* ... and goes on in */
    bool settling;                 /* GREET's last dialogue has begun */
    bool disbelieved;              /* the backend's certificate has proven nothing */
    enum greet_phase greet;
    struct starttls_run *far;     /* with the backend */
    struct buf far_bytes;         /* that it has said, not consumed */
    struct starttls_relay *relay; /* between the two: see relays.c */
};

/* On the way to a certificate of the door's: see certify.h. */
struct certify {
    struct cert_waiter waiter;
    struct session *session;
    const struct tls_server *server; /* that will show it */
};

/* What is needed until bytes flow; freed then. */
struct setup {
    struct certify certify;
    struct talk talk;
    /* Bytes read before anyone consumed them: in `bytes`, or, within the step that read them, still in the
     * thread's scratch. setup_keep() brings them to safety. */
    struct buf bytes;
    struct str view;
    /* What we have to say before bytes flow, where the link did not take it at once; the driver sends it
     * before the next step. */
    struct buf say_down;
    struct buf say_up;
    struct hello_scan scan;
    enum first_bytes kind;
    bool ready;                /* in ASK: kept by the client for later, and nothing of a request has come */
    bool expired;              /* the deadline of this state has passed */
    bool unheard;              /* the backend broke off before it had heard what it was to hear */
    enum close_reason refused; /* its carrier's client is not welcome any more; `detail` says why */
    struct hello_note hello;
    const struct front *front; /* tunnel: how the client names its target */
    struct front_request request;
    char target[TARGET_TEXT_MAX];  /* what is asked for, as the policy writes it: host:port, name:... */
    struct policy_host host;       /* the request's, as the policy reads it */
    bool by_address;               /* no row allows it by its name: only for an address that it may have */
    struct policy_verdict verdict; /* on an address of it that is not allowed */
    struct dial dial;
    struct ech_attempt ech; /* to a TLS backend */
    int backend;            /* index of the backend being tried, or -1 */
    uint64_t tried;         /* backends that failed, a bit each */
    size_t attempt;         /* of names, addresses and backends, to see when a new one begins */
    int64_t reach_by;       /* when everything that can be tried must have been; 0 before DIAL */
    struct visit visit;
    const char *rule;
    struct challenge_tls *challenge; /* that is shown; or NULL */
    struct net_addr local;        /* the address that the client connected to, when a proxy in front told */
    char detail[POLICY_TEXT_MAX]; /* what exactly went wrong */
};

/* Texts for the audit line, packed into one block once the set-up is freed. They may hold any byte. */
enum note { NOTE_STARTTLS, NOTE_SNI, NOTE_OUTER, NOTE_ALPN, NOTE_JA4, NOTE_TARGET, NOTES };

/* Monotonic. */
struct session_times {
    int64_t accepted;
    int64_t routed; /* ClientHello complete */
    int64_t opened; /* handshake complete, or 0 */
    int64_t active; /* last time bytes may have moved */
    int64_t paused; /* until when the name's bandwidth is used up; 0 */
};

struct session {
    uint32_t magic;
    enum session_state state;
    enum close_reason reason;
    uint32_t listener;
    uint64_t id;
    uint64_t carrier;      /* of a stream: its connection's id; else 0 */
    const char *transport; /* what carries it, static; NULL: TCP */
    struct list node;
    struct worker *worker;
    struct epoch *epoch;
    const struct route_runtime *route;
    struct link *down; /* towards the client */
    struct link *up;   /* towards the backend or target */
    struct pipe pipe;
    struct resident *resident;           /* in RESIDE; else NULL */
    struct authenticator_proof *further; /* who the client has proven to be besides, for its offer; or NULL */
    struct timer timer;
    struct task again;
    struct setup *setup;        /* NULL once bytes flow */
    const char *broken;         /* how a link broke while bytes flowed; static text, NULL before */
    const struct backend *last; /* tried last, or in use */
    struct backend *backend;    /* counted as open */
    struct hired *program;      /* that is the backend; else NULL */
    struct agent *agent;        /* that is visited; a reference, counted as its visitor */
    struct agent *spare_for;    /* the link goes to this one's home; a reference */
    char *notes;                /* NOTES texts, one after the other; NULL while there is a set-up */
    uint16_t note_len[NOTES];
    struct net_addr peer;
    struct session_times when;
    int64_t expires;            /* when it ends with its client's certificate: see expiry.h; 0: never */
    int64_t linger_by;          /* in LINGER: when it ends at the latest; else 0 */
    uint16_t verifies;          /* what kinds of key the client can: see cert_kinds_verified() */
    struct hello_offers offers; /* once the set-up is freed */
    enum ech_result ech;        /* of its ClientHello, where the door decrypts any */
    uint16_t near_port; /* of the door's end towards the backend, once somebody has asked (whois.c); else 0 */
    size_t descriptors; /* that are set aside for it */
    size_t discarded;   /* bytes thrown away after our last words */
    bool running;       /* the driver is on the stack */
    bool spare;         /* `up` is a connection that stood ready */
    bool told;          /* the client has heard how it ended */
    bool datagrams;     /* towards a target over UDP */
    bool uncounted;     /* admitted in all, but under no source */
    bool reaped;        /* there was a moment to see how its program exits */
    bool unproven;      /* admitted so: anybody may have made up the peer's address */
};

#define SESSION_MAGIC 0x5e551040u

/* From the end of a program's output to its exit. */
#define SESSION_REAP_NS (200 * NSEC_PER_MSEC)

/* ---- session.c ---- */

/* Name the reason (the first one stands) and return SESSION_CLOSED, or from a step: `return
 * session_end(...)`. */
enum session_state session_end(struct session *s, enum close_reason reason);

/* Of the descriptors that were set aside for it the session needs no more than these. */
void session_keep_descriptors(struct session *s, size_t n);

/* Keep what exactly went wrong for the audit line. */
void session_detail(struct session *s, const char *text);

/* Set-up is over: keep what the audit line needs in one small block and free the rest. */
void session_settle(struct session *s);

/* Say something on one of the session's links: at once as far as it goes, the rest before the next step. */
void session_say(struct session *s, struct link *to, const void *data, size_t len);

/* The same with what is in `words`, which is freed. */
void session_say_all(struct session *s, struct link *to, struct buf *words);

/* It has no route yet: go on in the configuration in force, where that still has its listener. */
void session_catch_up(struct session *s);

/* The index of its route in the configuration. */
uint32_t session_route_id(const struct session *s);

/* A visitor of `kind` of a name who was let in for everybody's sake finds it offered to some: no. */
enum session_state session_refuse_visit(struct session *s);

/* Count the session under a route, which is its own from then on; false when the route is full. */
bool session_enter_route(struct session *s, const struct route_runtime *route);

/* The word for a state, as status shows it. */
const char *session_state_word(enum session_state state);

/* Step as far as it goes. */
void session_run(struct session *s);

/* The session owns this link: it wakes the driver. */
void session_own(struct session *s, struct link *link);

/* The wake callback for its dial. */
void session_wake_dial(void *owner);

/* Set the deadline of the state that is being entered anew, `ns` from now. */
void session_deadline(struct session *s, int64_t ns);

/* Set the timer for what is being tried in DIAL or GREET: its share of the time that is left for all. */
void session_share_deadline(struct session *s);

/* Bytes flow: set the timer for the nearer of the silence and age limits. */
void session_arm_pipe(struct session *s);

const struct config_limits *session_limits(const struct session *s);

/* ---- report.c ---- */

/* A text for the audit line; borrowed. */
struct str session_note(const struct session *s, enum note which);

/* At the end: leave the audit line, add to the counters. */
void session_write_audit(struct session *s);
void session_count(struct session *s);

/* ---- preamble.c: PREAMBLE, what a client says in the clear before TLS ---- */

enum session_state step_preamble(struct session *s);

/* The dialogue with the client goes on with what has come of him; what it says to that is said. */
enum starttls_status preamble_hear(struct session *s);

/* What was said in the clear does not lead to TLS: end, with why for the audit line. */
enum session_state preamble_refuse(struct session *s, const char *why);

/* The client goes on in the clear, and a route takes that. */
enum session_state preamble_serve_plain(struct session *s);

/* Tell a dialogue what there is to tell of the client and of us. */
void preamble_describe(const struct session *s, struct starttls_run *run);

/* ---- relays.c: what is said between client and backend ---- */

/* Are the listener's clients to see the backend's own greeting? Then it is reached before
 * they are answered. */
bool relay_leads(const struct session *s);

/* ... and has the client not been answered yet? */
bool relay_is_due(const struct session *s);

/* In PREAMBLE of such a listener: up to TLS. */
enum session_state relay_preamble(struct session *s);

/* In GREET, where the backend's way to TLS leads through what the client says. SESSION_JOIN: TLS begins. */
bool relay_asks(const struct session *s);
enum session_state relay_ask(struct session *s);

/* ... and it is the client's turn. */
bool relay_awaits_client(const struct session *s);

/* Bytes are about to flow: put what is to be looked at from then on on top of the backend's link. */
void relay_begin_within(struct session *s);

/* ---- unserved.c: UNSERVED ---- */

/* End before bytes flow where the client has named no target. Where its protocol is known it is told in that;
 * else within TLS by an alert, whose arrival is waited for, and without TLS the connection breaks. */
enum session_state session_unserved(struct session *s, enum close_reason reason);

enum session_state step_unserved(struct session *s);

/* ---- greet.c ---- */

/* The protocol in which the backend is asked to begin TLS; NULL: it is not. */
const struct starttls *greet_asks(const struct session *s);

/* Is a dialogue with the backend to make up for what the client has been told in its stead? */
bool greet_settles(const struct session *s);

/* This backend took the connection but is no good: on to another, or to the end. */
enum session_state greet_failed(struct session *s, const char *why, enum close_reason reason);

/* It has ended its side where it was to begin TLS: what to say of that. Static text. */
const char *greet_closed_before_tls(const struct session *s);

/* ... because its side has ended. A program's exit, which says more, is waited for a moment. */
enum session_state greet_broke_off(struct session *s, const char *why, enum close_reason reason);

/* ---- peek.c: NEW, PROXY, PEEK, ROUTE ---- */

/* Take bytes off the front of the view. */
void session_consume(struct session *s, size_t n);

/* More bytes of the client's are needed: `here`, with *ret_again when some have come, else wait. */
enum session_state session_need_more(struct session *s, enum session_state here, bool *ret_again);

enum session_state step_new(struct session *s);
enum session_state step_proxy(struct session *s);
enum session_state step_peek(struct session *s);
enum session_state step_route(struct session *s);

/* Copy the view out of the thread's scratch. */
void setup_keep(struct session *s);

/* What the client said in its hello, once more from the bytes that are still held. */
enum session_state session_with_hello(struct session *s,
                                      enum session_state (*then)(struct session *, const struct hello *));

/* Turn a client away that has only said its ClientHello. */
enum session_state session_refuse_hello(struct session *s, uint8_t alert, enum close_reason reason);

/* Put TLS of `server` on top of the client's link. */
enum session_state session_begin_tls(struct session *s, const struct tls_server *server,
                                     const struct hello *h);

/* The same once the client's certificate is chosen; the handshake has begun. */
void session_accept_tls(struct session *s, const struct tls_server *server, struct tls_client_hello *hello);

/* ---- decrypt.c ---- */

/* Is the hello one for a key of ours? Then *ret_next is the state to go on in. */
bool session_decrypts(struct session *s, const struct hello *h, enum session_state *ret_next);

/* ---- challenge.c: CHALLENGE ---- */

/* Is it a CA that comes for a challenge which the door holds? Then *ret_next is the state to go on in. */
bool session_is_challenge(struct session *s, const struct hello *h, enum session_state *ret_next);

enum session_state step_challenge(struct session *s);

void challenge_free(struct challenge_tls *c);
/* ---- certify.c: CERTIFY ---- */

void certify_init(struct session *s);

/* Give the client's hello its certificate. SESSION_HANDSHAKE: it has one; else where to go, which is CERTIFY
 * while it is fetched. */
enum session_state certify_client(struct session *s, const struct tls_server *server,
                                  struct tls_client_hello *hello);

enum session_state step_certify(struct session *s);

/* Wait no longer. */
void certify_cancel(struct session *s);

/* ---- meet.c: MEET ---- */

#define VISIT_ANY_KIND AGENTS_ANY_KIND

/* It goes to whoever offers `name`, in a kind of enum offer_kind or any. */
void session_visit(struct session *s, const char *name, int kind);

/* A client has asked for a host that is not there, or not for it: where it may visit that name and an agent
 * offers it, lead it there instead, whatever the port. A host that can be reached stays the host. False:
 * nothing of the kind; visit.missed says whether only the agent is missing. */
bool session_turn_to_offer(struct session *s);

static inline bool session_visits(const struct session *s)
{
    return s->setup->visit.name[0] != '\0';
}

enum session_state step_meet(struct session *s);

/* Be run again when there is news of the name. */
void visit_wait(struct session *s);

/* The door is stopping: a visitor who waits for an agent to come waits no longer. */
void visit_drain(struct session *s);

/* A door that stops is not one that agents come back to. */
#define VISIT_DOOR_STOPS "the door stops"

/* How long a visitor waits for an agent that was there lately, in nanoseconds. */
int64_t visit_grace(const struct session *s);

/* Why nobody is there, and how the last one went. Static text. */
const char *visit_absence(const struct session *s);

/* ---- visit.c: DIAL and GREET towards an agent ---- */

enum session_state visit_dial(struct session *s);
enum session_state visit_greet(struct session *s);

/* Of the time that is left, as much as the agent that is being tried may have. */
int64_t visit_share(const struct session *s, int64_t left);

/* Drop what is under way. */
void visit_cancel(struct session *s);

/* ---- authorise.c: HANDSHAKE, AUTHORISE, ASK; carry.c: RESIDE, PIPE, DRAIN, LINGER ---- */

/* The target of the policy row that allows the offer. Also what who comes to its port asks for. */
void session_offer_target(const struct offer *o, char *ret, size_t cap);

enum session_state step_handshake(struct session *s);
enum session_state step_authorise(struct session *s);
enum session_state step_ask(struct session *s);
enum session_state step_reside(struct session *s);
enum session_state step_pipe(struct session *s);
enum session_state step_reap(struct session *s);
enum session_state step_drain(struct session *s);
enum session_state step_linger(struct session *s);

/* Send last bytes to the client (may be empty), end our direction and give it a moment to read them. */
enum session_state session_farewell(struct session *s, const void *data, size_t len,
                                    enum close_reason reason);

/* The policy says no: the denial is kept for the audit line, and the client is told by its front or by an
 * alert. `action` and `missing` are those of policy_denial(). */
enum session_state session_deny(struct session *s, const struct policy_verdict *v, const char *action,
                                const char *missing);

/* Is it a connection that its client keeps ready for a request to come? */
static inline bool session_is_ready(const struct session *s)
{
    return s->setup != NULL && s->setup->ready;
}

/* What its streams have in common with the session, for a resident of it. */
struct session_origin session_origin(const struct session *s);

/* Set-up is over, and `r` (taken) lives on the client's link from now on. */
enum session_state session_house(struct session *s, struct resident *r);

/* The peer's identity, or NULL. */
const struct identity *session_identity(const struct session *s);

/* ---- further.c ---- */

/* Is the identity that was proven besides, if there is one, still to be believed on the route? */
bool session_believes_further(const struct session *s, struct session_denial *ret);
void session_forget_further(struct session *s);

/* ---- authorise.c ---- */

/* Would a new connection of the client's be led to a tunnel, and its certificates be believed there, by what
 * is in force now, and at this time? Then the session goes on in that. */
bool session_move_on(struct session *s, const struct hello_note *hello, struct session_denial *ret);

/* ---- rejudge.c ---- */

/* Would the policy in force, which lets it run on, not let it in? False too while that is not known: before
 * bytes flow, and where the route is not there any more. */
bool session_is_denied_now(const struct session *s);

/* Its route as it is in force; NULL: it is not there any more, or nobody is asked there who he is. */
const struct route_runtime *session_route_now(const struct session *s);

/* The id of the connection that carries it, for a client who wants to prove a newer certificate on it; 0: he
 * has not asked for it, or could not. */
uint64_t session_connection(const struct session *s);

/* ---- expiry.c ---- */

/* Its client's certificate says how long it may go on: look at it, anew where another was proven. */
void session_note_expiry(struct session *s);

/* When that is over, monotonic; INT64_MAX: never. */
int64_t session_expiry(const struct session *s);

/* In RESIDE: set the timer for that; and when it has passed, end what travels on the connection, then the
 * connection. */
void session_arm_expiry(struct session *s);
void session_reside_expired(struct session *s);

/* Its client has proven another certificate: its time goes on, unless the policy in force would not let it
 * in. */
void session_extend(struct session *s);

/* ---- greet.c: GREET ---- */

enum session_state step_greet(struct session *s);

/* What a backend has said in the clear that is the client's to hear, appended to what we say to him. */
void greet_hand_over(struct session *s);

/* ---- reach.c: DIAL, JOIN ---- */

/* The backend that was tried is no good: try the next one, or tell the client that there is none. */
enum session_state session_next_backend(struct session *s, enum close_reason reason);

/* Another connection to the same backend, which has nothing against that. */
enum session_state session_same_backend(struct session *s);

enum session_state step_dial(struct session *s);
enum session_state step_join(struct session *s);

/* Tell a client that named a target why it can't have it, in its own protocol; then farewell. */
enum session_state session_answer_no(struct session *s, const struct front_answer *answer,
                                     enum close_reason reason);

/* Does the action lead through a target that the client names? */
static inline bool session_is_tunnel(const struct session *s)
{
    return s->route->config->action == CONFIG_TUNNEL;
}

#endif
