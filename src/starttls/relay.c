/* SPDX-License-Identifier: Apache-2.0 */
/* Units of two sides, the first rule of the side that holds, its actions. A unit that no rule is for goes on
 * as it is. */
#include "starttls/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "starttls/run.h"
#include "starttls/template.h"

struct starttls_relay {
    struct starttls_run *run;
};

/* A unit whose actions are carried out. */
struct passing {
    uint8_t *bytes; /* with what ends it: a copy, to be patched */
    size_t len;
    struct str unit; /* in them */
    struct captures caught;
    bool kept;
    struct buf *back;
    struct buf *onward;
};

/* A mail begins behind the end of a line. */
static void enter(struct starttls_run *r, uint16_t state)
{
    r->state = state;
    memcpy(r->before, "\r\n", 2);
}

struct starttls_relay *starttls_relay_new(const struct starttls *p, enum starttls_section which)
{
    int section = starttls_section(p, which);
    CHECK(section >= 0 && p->sections[section].relays);
    struct starttls_relay *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->run = starttls_run_new(p);
    enter(r->run, p->sections[section].states.first);
    return r;
}

void starttls_relay_free(struct starttls_relay *r)
{
    if (r != NULL)
        starttls_run_free(r->run);
    free(r);
}

struct starttls_run *starttls_relay_run(struct starttls_relay *r)
{
    return r->run;
}

bool starttls_relay_switches(const struct starttls *p, enum starttls_section which)
{
    int section = starttls_section(p, which);
    return section >= 0 && p->sections[section].switches;
}

bool starttls_relay_near_waits(const struct starttls_relay *r)
{
    return r->run->state != NO_INDEX && r->run->p->states[r->run->state].near_waits;
}

/* ---- what becomes of a unit ---- */

/* A byte, counted from where the text of a variable begins; none when the unit is not that long. What was
 * taken from the unit changes with it. */
static enum starttls_status patch(struct starttls_run *r, const struct action *a, struct passing *p)
{
    const char *from = p->caught.v[a->to].p;
    if (from == NULL || a->at >= (size_t)(p->unit.p + p->unit.len - from))
        return STARTTLS_MORE;
    uint8_t *byte = p->bytes + (from - (const char *)p->bytes) + a->at;
    switch ((enum patch_how)a->how) {
    case PATCH_UP:
        *byte = (uint8_t)(*byte + a->value);
        break;
    case PATCH_DOWN:
        *byte = (uint8_t)(*byte - a->value);
        break;
    case PATCH_SET:
        *byte |= a->value;
        break;
    case PATCH_CLEAR:
        *byte = (uint8_t)(*byte & ~a->value);
        break;
    }
    return run_keep_captures(r, &p->caught) ? STARTTLS_MORE
                                            : run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_REMEMBERED);
}

/* A word, wherever it stands, and a blank before it. What was taken from the unit is where it was no more. */
static void strip(struct starttls_run *r, const struct action *a, struct passing *p)
{
    struct buf text = {.max = STARTTLS_MEMORY_MAX}, left = {0};
    template_put(r, r->p, a->text, &text);
    struct str word = {(const char *)text.data, text.len};
    for (size_t i = 0; i < p->unit.len;) {
        bool here = word.len > 0 && unit_word_at(p->unit, i, word);
        if (here && left.len > 0 && left.data[left.len - 1] == ' ')
            left.len--;
        if (!here)
            CHECK(buf_append(&left, p->unit.p + i, 1));
        i += here ? word.len : 1;
    }
    size_t from = (size_t)(p->unit.p - (const char *)p->bytes), tail = p->len - from - p->unit.len;
    memmove(p->bytes + from + left.len, p->bytes + from + p->unit.len, tail);
    memcpy(p->bytes + from, left.len > 0 ? left.data : p->bytes, left.len);
    p->len = from + left.len + tail;
    p->unit.len = left.len;
    p->caught = (struct captures){0};
    buf_free(&left);
    buf_free(&text);
}

static void drop_byte(struct starttls_run *r, uint16_t var)
{
    size_t n = MIN(r->vars[var].len, (size_t)1);
    r->vars[var].len -= n;
    r->remembered -= n;
}

static enum starttls_status end(struct starttls_run *r, enum starttls_status status)
{
    r->state = NO_INDEX;
    return status;
}

static enum starttls_status act(struct starttls_run *r, const struct action *a, struct passing *p)
{
    switch ((enum action_kind)a->kind) {
    case ACT_SEND:
        return run_send_text(r, a, p->onward);
    case ACT_REPLY:
        if (++r->replies > STARTTLS_REPLIES_MAX)
            return run_fail(r, STARTTLS_TOO_MUCH, "found more that had to be refused than is allowed");
        return run_send_text(r, a, p->back);
    case ACT_SET:
    case ACT_ADD:
        return run_put_variable(r, a) ? STARTTLS_MORE : run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_REMEMBERED);
    case ACT_PATCH:
        return patch(r, a, p);
    case ACT_STRIP:
        strip(r, a, p);
        return STARTTLS_MORE;
    case ACT_FORWARD:
        CHECK(buf_append(p->onward, p->bytes, p->len));
        return STARTTLS_MORE;
    case ACT_KEEP:
        p->kept = true;
        return STARTTLS_MORE;
    case ACT_DROP:
        drop_byte(r, a->to);
        return STARTTLS_MORE;
    case ACT_GO:
        enter(r, a->to);
        return STARTTLS_MORE;
    case ACT_STAY:
        return STARTTLS_MORE;
    case ACT_SWITCH:
        enter(r, a->to != NO_INDEX ? a->to : r->state);
        return STARTTLS_SWITCH;
    case ACT_DONE:
        return end(r, STARTTLS_DONE);
    case ACT_PLAIN:
        return end(r, STARTTLS_PLAIN);
    case ACT_BYE:
        return end(r, STARTTLS_BYE);
    case ACT_MISSING:
        return run_fail_in_words(r, a, STARTTLS_MISSING, p->unit);
    case ACT_REFUSED:
        return run_fail_in_words(r, a, STARTTLS_REFUSED, p->unit);
    case ACT_WRONG:
        return run_fail_in_words(r, a, STARTTLS_WRONG, p->unit);
    }
    return STARTTLS_FAILED;
}

static enum starttls_status act_all(struct starttls_run *r, const struct rule *rule, struct passing *p)
{
    enum starttls_status status = STARTTLS_MORE;
    if (!run_keep_captures(r, &p->caught))
        return run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_REMEMBERED);
    for (uint16_t i = 0; i < rule->actions.n && status == STARTTLS_MORE; i++) {
        r->unit = p->unit;
        status = act(r, &r->p->actions[rule->actions.first + i], p);
    }
    r->unit = (struct str){0};
    return status;
}

/* ---- stepping ---- */

static const struct rule *rule_for(const struct starttls_run *r, enum relay_side side, struct passing *p)
{
    const struct state *s = &r->p->states[r->state];
    for (uint16_t i = 0; i < s->rules.n; i++) {
        const struct rule *rule = &r->p->rules[s->rules.first + i];
        if (rule->side == (side == RELAY_NEAR ? RULE_NEAR : RULE_FAR) &&
            run_rule_holds(r, rule, p->unit, &p->caught))
            return rule;
    }
    return NULL;
}

/* The client's mail is the one thing that has a memory: whether a line begins. */
static enum unit_status cut_unit(struct starttls_run *r, enum relay_side side, const uint8_t *data,
                                 size_t len, struct str *ret_unit, size_t *ret_used)
{
    const struct unit *u = &r->p->states[r->state].unit;
    if (side == RELAY_FAR || u->kind != UNIT_CONTENT)
        return unit_cut(u, data, len, ret_unit, ret_used);
    enum unit_status status = unit_cut_content(r->before, data, len, ret_unit, ret_used);
    if (status == UNIT_WHOLE) {
        r->before[0] = *ret_used > 1 ? data[*ret_used - 2] : r->before[1];
        r->before[1] = data[*ret_used - 1];
    }
    return status;
}

static enum starttls_status fail_cut(struct starttls_run *r, enum unit_status cut, const uint8_t *data,
                                     size_t len)
{
    char text[FAILURE_TEXT_MAX];
    if (cut != UNIT_BAD || r->p->states[r->state].unit.kind != UNIT_CONTENT)
        return run_fail_unit(r, cut, data, len);
    snprintf(
        text, sizeof(text),
        "%.80s: a line of a dot in a mail does not begin and end with CR LF: some servers take it for the "
        "mail's end, and what follows for commands",
        starttls_name(r->p));
    return run_fail(r, STARTTLS_WRONG, text);
}

/* One unit, if there is one; *ret_used 0: there is none, or it is kept. */
static enum starttls_status step_unit(struct starttls_run *r, enum relay_side side, const uint8_t *data,
                                      size_t len, size_t *ret_used, struct passing *p)
{
    struct str unit;
    size_t used;
    *ret_used = 0;
    r->of_client = side == RELAY_NEAR;
    enum unit_status cut = cut_unit(r, side, data, len, &unit, &used);
    if (cut == UNIT_MORE)
        return STARTTLS_MORE;
    if (cut != UNIT_WHOLE)
        return fail_cut(r, cut, data, len);
    if (!r->within && !run_count(r, 1, used)) /* what comes after is theirs, and as long as they like */
        return run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_SAID);
    p->bytes = malloc(used);
    CHECK(p->bytes != NULL);
    memcpy(p->bytes, data, used);
    p->len = used;
    p->unit = (struct str){(const char *)p->bytes + (unit.p - (const char *)data), unit.len};
    const struct rule *rule = rule_for(r, side, p);
    enum starttls_status status = STARTTLS_MORE;
    if (rule != NULL)
        status = act_all(r, rule, p);
    else
        CHECK(buf_append(p->onward, p->bytes, p->len));
    free(p->bytes);
    bool again = status == STARTTLS_PLAIN || (status == STARTTLS_SWITCH && p->kept);
    *ret_used = again ? 0 : used;
    return status;
}

enum starttls_status starttls_relay_step(struct starttls_relay *r, enum relay_side side, const uint8_t *data,
                                         size_t len, size_t *ret_used, struct buf *back, struct buf *onward)
{
    size_t used = 0, n = 1;
    struct starttls_run *run = r->run;
    enum starttls_status status = run->status == STARTTLS_SWITCH ? STARTTLS_MORE : run->status;
    while (status == STARTTLS_MORE && n > 0 && used < len &&
           (side == RELAY_FAR || !starttls_relay_near_waits(r)) &&
           MAX(back->len, onward->len) <= STARTTLS_MEMORY_MAX) {
        struct passing p = {.back = back, .onward = onward};
        status = step_unit(run, side, data + used, len - used, &n, &p);
        used += n;
    }
    run->status = status;
    *ret_used = used;
    return status;
}
