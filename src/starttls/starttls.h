/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection that begins in the clear comes to TLS, in whatever protocol: STARTTLS and its kin. One
 * engine runs scripts; a protocol is such a script (doc/man/cardea-starttls.5), built in
 * (src/starttls/protocols) or a user's own. Pure: bytes in, bytes out, no sockets, no clock.
 *
 * A script has sections, each a dialogue with one peer:
 *   ask      as a client, towards a server that is to begin TLS
 *   answer   as a server, towards a client that begins TLS
 *   greet    as a client, after TLS or without it: towards a server whose greeting the client has had from us
 *   settle   as a client, within TLS that was asked for on behalf of a client that speaks none
 *   identify as `greet`, with the client's identity handed on
 *   unavailable as a server, towards a client for whom there is none: ends with STARTTLS_BYE
 *   others   where a client goes on in the clear: what the server must hear for it */
#ifndef CARDEA_STARTTLS_STARTTLS_H
#define CARDEA_STARTTLS_STARTTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Bytes of a peer that a dialogue takes in all, and of one unit (a line, a packet). */
#define STARTTLS_BYTES_MAX 65536u
#define STARTTLS_UNIT_MAX 16384u
/* Units of a dialogue. */
#define STARTTLS_UNITS_MAX 256u
/* Answers that a relay gives in a peer's stead: of whom it refuses so much nothing better is to come. */
#define STARTTLS_REPLIES_MAX 4096u
/* Bytes of all that is remembered, and of all that is said. */
#define STARTTLS_MEMORY_MAX 32768u

struct starttls;

/* ---- protocols ---- */

/* Read a script. `name` is what errors call it (a file's name). NULL with "NAME:LINE:COLUMN: ..." in `err`.
 */
struct starttls *starttls_parse(const char *name, const char *text, size_t len, struct err *err);

/* Read a script of chat(8): texts to expect and texts to send, in turn. It becomes one section: `answer`, or
 * `ask`. TLS begins behind the line in which the last text that is expected stands. What has no meaning on a
 * connection is an error, as above. */
struct starttls *starttls_parse_chat(const char *name, const char *text, size_t len, bool answer,
                                     struct err *err);

/* The same from a file, in either language; one of chat(8) becomes `ask`. */
struct starttls *starttls_load(const char *path, bool chat, struct err *err);

/* Where a protocol may be given by its name or by its file: is this a file's? */
bool starttls_is_file(const char *name);

/* NULL is allowed. */
void starttls_free(struct starttls *p);

/* The protocol that is built in under this name, or NULL; `submission` is another name of smtp. Lives as long
 * as the process; any thread. */
const struct starttls *starttls_builtin(const char *name);

/* The names of those, one each, sorted, NULL at the end. */
const char *const *starttls_builtin_names(void);

/* All names that starttls_builtin() takes, in the same way. */
const char *const *starttls_builtin_words(void);

/* What it is called. */
const char *starttls_name(const struct starttls *p);

/* The port it is usually found at; 0: the script says none. */
uint16_t starttls_port(const struct starttls *p);

/* The protocol's name in ALPN (RFC 7301), or NULL: it has none. */
const char *starttls_alpn(const struct starttls *p);

/* Do its peers end TLS without close_notify (a premature close)? Then its own words tell a whole stream from
 * a part, as RFC 8446, 6.1, has the protocol above TLS decide. */
bool starttls_closes_premature(const struct starttls *p);

enum starttls_section {
#define X(NAME, name) STARTTLS_##NAME,
#include "tables/starttls_sections.def"
#undef X
    STARTTLS_SECTIONS
};

/* What such a section is called. */
const char *starttls_section_name(enum starttls_section which);

/* The number of a section, or -1 when the script has none of that name. */
int starttls_section(const struct starttls *p, enum starttls_section which);
int starttls_section_named(const struct starttls *p, const char *name);

/* Does the server speak first in this section? Then nothing can be told from a client's first bytes. */
bool starttls_speaks_first(const struct starttls *p, int section);

/* ---- a dialogue ---- */

enum starttls_status {
    STARTTLS_MORE,   /* go on when more bytes have come */
    STARTTLS_SWITCH, /* TLS begins: in what follows the peer speaks TLS, and so do we */
    STARTTLS_DONE,   /* the dialogue is over; what follows is not for us */
    STARTTLS_PLAIN,  /* answer: the client goes on in the clear, from the unit that is not consumed on */
    STARTTLS_BYE,    /* the peer has taken leave, in order */
    STARTTLS_FAILED, /* see starttls_run_failure() and starttls_run_text() */
};

/* Why a dialogue failed. */
enum starttls_failure {
    STARTTLS_NO_FAILURE,
    STARTTLS_MISSING,  /* the peer does not offer TLS, or somebody on the way has taken the offer out */
    STARTTLS_REFUSED,  /* the peer was asked and said no */
    STARTTLS_WRONG,    /* the peer does not speak the protocol */
    STARTTLS_INJECTED, /* bytes in the clear where TLS begins (CVE-2011-0411 and its kin) */
    STARTTLS_AT_ONCE,  /* it speaks TLS already: nobody need ask it */
    STARTTLS_TOO_MUCH, /* longer than the bounds above */
};

struct starttls_run;

/* A dialogue with nothing said or remembered yet. */
struct starttls_run *starttls_run_new(const struct starttls *p);

/* NULL is allowed. */
void starttls_run_free(struct starttls_run *r);

/* Give a variable of the script a value, as far as the script knows it. The bytes are copied. False when they
 * are too many. */
bool starttls_run_set(struct starttls_run *r, const char *var, struct str value);

/* Remember what another dialogue in the same protocol does; where both know something that of the other
 * counts. */
void starttls_run_follow(struct starttls_run *r, const struct starttls_run *other);

/* Begin a section; what was remembered stays. What is to be said at once is appended to `say`. */
void starttls_run_begin(struct starttls_run *r, int section, struct buf *say);

/* Go on. `data`: all bytes that have come and were not consumed; *ret_used: how many of them are now. What is
 * to be said is appended to `say`, also with STARTTLS_FAILED: say it, then end. Whether bytes come at once or
 * in pieces makes no difference, but for one thing: after STARTTLS_SWITCH nothing may have come, and that is
 * judged here. */
enum starttls_status starttls_run_step(struct starttls_run *r, const uint8_t *data, size_t len,
                                       size_t *ret_used, struct buf *say);

/* What is said from now on is said within TLS: it is as long as it likes, and failures tell nothing of it,
 * since it may be a password. */
void starttls_run_go_within(struct starttls_run *r);

/* After STARTTLS_PLAIN: the section that leads a server to where the client is. -1: none. */
int starttls_run_onward(const struct starttls_run *r);

/* After STARTTLS_FAILED. The text says what was found and what was expected; it lives as long as the run. */
enum starttls_failure starttls_run_failure(const struct starttls_run *r);
const char *starttls_run_text(const struct starttls_run *r);

/* Size of what starttls_run_waiting() tells. */
#define STARTTLS_WAITING_MAX 512

/* For who has waited long enough: what the dialogue waits for. With `pending`, bytes of the peer that were
 * not consumed, also what was heard last; NULL where that is not to be told, as of a client, which may have
 * said a password. Returns `ret`, printable. */
const char *starttls_run_waiting(const struct starttls_run *r, const struct str *pending,
                                 char ret[STARTTLS_WAITING_MAX]);

/* ---- where STARTTLS and TLS at once were mixed up: for errors ---- */

#define STARTTLS_CLEAR_MAX 448

/* A server that was to begin TLS said `found` in the clear: "expected TLS, found '220 ...' in the clear", the
 * first line of it, printable and cut; where it tells the protocol, also "; perhaps OPTIONsmtp". `option` is
 * how that is given, such as "--starttls "; NULL: it has been. Returns `ret`. */
const char *starttls_found_clear(struct str found, const char *option, char ret[STARTTLS_CLEAR_MAX]);

/* Is it the name of a protocol in which TLS begins at once, such as imaps? */
bool starttls_is_at_once(const char *name);

/* What a client that speaks no TLS is to get first, once TLS stands towards its server: the greeting that we
 * have had in its stead. Appended to `say`. */
void starttls_run_welcome(struct starttls_run *r, struct buf *say);

#endif
