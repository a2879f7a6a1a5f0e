/* SPDX-License-Identifier: Apache-2.0 */
/* A dialogue as it stands, for templates and for relays, which are dialogues with two. Private to starttls/.
 */
#ifndef CARDEA_STARTTLS_RUN_H
#define CARDEA_STARTTLS_RUN_H

#include "starttls/script.h"

#define FAILURE_TEXT_MAX 320
#define HEARD_MAX 61              /* one byte more than an error shows */
#define SHOWN_MAX (HEARD_MAX - 1) /* bytes of a peer's unit that an error shows */
#define SHOWN_TEXT_MAX (SHOWN_MAX * 4 + 4)
#define TOO_MUCH_SAID "found more in the clear than is allowed"
#define TOO_MUCH_REMEMBERED "found more to remember than is allowed"

struct starttls_run {
    const struct starttls *p;
    uint16_t state; /* NO_INDEX: over */
    enum starttls_status status;
    struct str unit; /* while its actions are carried out */
    uint16_t onward;
    uint8_t before[2]; /* the last bytes of a client's mail, where the state is one of content */
    bool within;       /* TLS */
    bool of_client;    /* it is a client that speaks, who may say a password */
    uint32_t bytes;
    uint32_t units;
    uint32_t replies; /* of a relay */
    size_t remembered;
    enum starttls_failure failure;
    char text[FAILURE_TEXT_MAX];
    char heard[HEARD_MAX]; /* how the last unit begins; of a stream, how it ends so far */
    uint8_t heard_len;
    struct buf vars[];
};

/* Some of what the peer said, so that it can be printed anywhere. Returns `ret`. */
const char *run_shown(struct str unit, char ret[SHOWN_TEXT_MAX]);

/* Is it in that section of its script? */
bool run_is_in(const struct starttls_run *r, enum starttls_section which);

/* What is remembered under a variable; borrowed until the next step. */
struct str run_value(const struct starttls_run *r, uint16_t var);

/* Remember what a pattern has taken. False when it is too much. */
bool run_keep_captures(struct starttls_run *r, const struct captures *caught);

/* The peer has said so much more. False when it is too much. */
bool run_count(struct starttls_run *r, uint32_t units, size_t bytes);

/* ACT_SET, ACT_ADD. False when it is too much. */
bool run_put_variable(struct starttls_run *r, const struct action *a);

/* Append what an action says; STARTTLS_MORE, or STARTTLS_FAILED. */
enum starttls_status run_send_text(struct starttls_run *r, const struct action *a, struct buf *say);

/* Do the rule's conditions hold, and one of its patterns? *caught is what that has taken. */
bool run_rule_holds(const struct starttls_run *r, const struct rule *rule, struct str unit,
                    struct captures *caught);

/* It has failed, in our words; because of a unit that cannot be cut off (`data`: what is there); in the
 * script's words, with what was said. All STARTTLS_FAILED. */
enum starttls_status run_fail(struct starttls_run *r, enum starttls_failure failure, const char *text);
enum starttls_status run_fail_unit(struct starttls_run *r, enum unit_status status, const uint8_t *data,
                                   size_t len);
enum starttls_status run_fail_in_words(struct starttls_run *r, const struct action *a,
                                       enum starttls_failure failure, struct str unit);

#endif
