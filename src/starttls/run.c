/* SPDX-License-Identifier: Apache-2.0 */
/* A dialogue: units in, the first rule that holds, its actions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "starttls/run.h"
#include "starttls/template.h"

struct starttls_run *starttls_run_new(const struct starttls *p)
{
    struct starttls_run *r = calloc(1, sizeof(*r) + p->vars_len * sizeof(struct buf));
    CHECK(r != NULL);
    r->p = p;
    r->state = r->onward = NO_INDEX;
    return r;
}

void starttls_run_free(struct starttls_run *r)
{
    for (uint16_t i = 0; r != NULL && i < r->p->vars_len; i++)
        buf_free(&r->vars[i]);
    free(r);
}

/* ---- what is remembered ---- */

static void keep(struct starttls_run *r, uint16_t var, struct str value)
{
    CHECK(buf_append(&r->vars[var], value.p, value.len));
    r->remembered += value.len;
}

static bool remember(struct starttls_run *r, uint16_t var, struct str value)
{
    if (r->remembered + value.len > STARTTLS_MEMORY_MAX)
        return false;
    keep(r, var, value);
    return true;
}

static void forget(struct starttls_run *r, uint16_t var)
{
    r->remembered -= r->vars[var].len;
    buf_free(&r->vars[var]);
}

bool starttls_run_set(struct starttls_run *r, const char *var, struct str value)
{
    for (uint16_t i = 0; i < r->p->vars_len; i++) {
        if (strcmp(script_text(r->p, r->p->vars[i]), var) != 0)
            continue;
        forget(r, i);
        if (r->p->user_max > 0 && value.len > r->p->user_max && strcmp(var, "user") == 0)
            return false; /* the server would take it for somebody else's, cut off */
        return remember(r, i, value);
    }
    return true;
}

void starttls_run_follow(struct starttls_run *r, const struct starttls_run *other)
{
    CHECK(r->p == other->p);
    for (uint16_t i = 0; i < r->p->vars_len; i++) {
        if (other->vars[i].len == 0)
            continue;
        forget(r, i);
        keep(r, i, run_value(other, i)); /* had its bound there */
    }
}

struct str run_value(const struct starttls_run *r, uint16_t var)
{
    if (var == r->p->unit_var)
        return r->unit;
    return (struct str){(const char *)r->vars[var].data, r->vars[var].len};
}

bool run_count(struct starttls_run *r, uint32_t units, size_t bytes)
{
    r->units += units;
    r->bytes += (uint32_t)bytes;
    return r->units <= STARTTLS_UNITS_MAX && r->bytes <= STARTTLS_BYTES_MAX;
}

/* ---- failing ---- */

void starttls_run_go_within(struct starttls_run *r)
{
    r->within = true;
}

/* Is what was said to be told? */
static bool tells(const struct starttls_run *r)
{
    return !r->within && !r->of_client;
}

enum starttls_status run_fail(struct starttls_run *r, enum starttls_failure failure, const char *text)
{
    r->failure = failure;
    r->state = NO_INDEX;
    str_copy(r->text, sizeof(r->text), text, strlen(text));
    return STARTTLS_FAILED;
}

/* The script's own words may hold what the peer said. */
static void make_printable(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] < ' ' || b->data[i] >= 127)
            b->data[i] = '?';
}

/* The script's words, and what the peer said. */
static enum starttls_status fail_at(struct starttls_run *r, enum starttls_failure failure, struct str why,
                                    struct str unit)
{
    char text[FAILURE_TEXT_MAX], found[SHOWN_TEXT_MAX];
    size_t at = (size_t)snprintf(text, sizeof(text), "%.80s: %.*s", starttls_name(r->p),
                                 (int)MIN(why.len, (size_t)160), why.p);
    if (tells(r))
        snprintf(text + at, sizeof(text) - at, "; the server said '%s'", run_shown(unit, found));
    return run_fail(r, failure, text);
}

enum starttls_status run_fail_unit(struct starttls_run *r, enum unit_status status, const uint8_t *data,
                                   size_t len)
{
    char text[FAILURE_TEXT_MAX], found[SHOWN_TEXT_MAX];
    if (status == UNIT_LONG) {
        snprintf(text, sizeof(text), "%s: the %s sent a line or packet of more than %u bytes",
                 starttls_name(r->p), r->of_client ? "client" : "server", STARTTLS_UNIT_MAX);
        return run_fail(r, STARTTLS_TOO_MUCH, text);
    }
    struct str bytes = {(const char *)data, len};
    size_t at = (size_t)snprintf(text, sizeof(text), "%.80s: what the %s says is not of this protocol",
                                 starttls_name(r->p), r->of_client ? "client" : "server");
    if (tells(r))
        snprintf(text + at, sizeof(text) - at, ": '%s'", run_shown(bytes, found));
    return run_fail(r, STARTTLS_WRONG, text);
}

static enum starttls_status fail_unexpected(struct starttls_run *r, struct str unit)
{
    char why[160];
    snprintf(why, sizeof(why), "not what is expected here (%s)",
             script_text(r->p, r->p->states[r->state].name_at));
    return fail_at(r, STARTTLS_WRONG, (struct str){why, strlen(why)}, unit);
}

/* Nothing may stand between the word that begins TLS and TLS: it would be taken for said within it. What it
 * is may be a password, and is not told. */
static enum starttls_status switch_to_tls(struct starttls_run *r, size_t len)
{
    char text[FAILURE_TEXT_MAX];
    r->state = NO_INDEX;
    if (len == 0)
        return STARTTLS_SWITCH;
    snprintf(text, sizeof(text),
             "%s: %zu bytes in the clear where TLS was to begin; somebody may have put them there",
             starttls_name(r->p), len);
    return run_fail(r, STARTTLS_INJECTED, text);
}

/* ---- rules ---- */

static bool conditions_hold(const struct starttls_run *r, struct range conds)
{
    for (uint16_t i = 0; i < conds.n; i++) {
        const struct cond *c = &r->p->conds[conds.first + i];
        if ((r->vars[c->var].len > 0) == c->negated)
            return false;
    }
    return true;
}

/* In a stream the rule whose text is complete first, however the bytes come. NULL: none is yet, and as many
 * bytes are used as no text can begin with any more. */
static const struct rule *rule_of_stream(const struct starttls_run *r, const struct state *s,
                                         struct str stream, size_t *ret_used)
{
    const struct starttls *p = r->p;
    const struct rule *best = NULL;
    size_t first = SIZE_MAX, longest = 1;
    for (uint16_t i = 0; i < s->rules.n; i++) {
        const struct rule *rule = &p->rules[s->rules.first + i];
        const struct op *op = &p->ops[p->patterns[rule->patterns.first].first];
        if (!conditions_hold(r, rule->conds))
            continue;
        longest = MAX(longest, (size_t)op->len);
        const char *at = memmem(stream.p, stream.len, script_text(p, op->at), op->len);
        if (at != NULL && (size_t)(at - stream.p) + op->len < first) {
            best = rule;
            first = (size_t)(at - stream.p) + op->len;
        }
    }
    *ret_used = best != NULL ? first : stream.len >= longest ? stream.len - longest + 1 : 0;
    return best;
}

bool run_rule_holds(const struct starttls_run *r, const struct rule *rule, struct str unit,
                    struct captures *caught)
{
    const struct str word = {script_text(r->p, rule->has_at), rule->has_len};
    if (!conditions_hold(r, rule->conds) || (rule->has_len > 0 && !unit_has_word(unit, word)))
        return false;
    for (uint16_t i = 0; i < rule->patterns.n; i++) {
        *caught = (struct captures){0};
        if (pattern_matches(r->p, r->p->patterns[rule->patterns.first + i], unit, caught))
            return true;
    }
    return false;
}

static const struct rule *rule_of_unit(const struct starttls_run *r, const struct state *s, struct str unit,
                                       struct captures *caught)
{
    for (uint16_t i = 0; i < s->rules.n; i++) {
        const struct rule *rule = &r->p->rules[s->rules.first + i];
        if (run_rule_holds(r, rule, unit, caught))
            return rule;
    }
    return NULL;
}

/* ---- actions ---- */

/* What has come when actions are carried out. */
struct moment {
    struct str unit;
    const uint8_t *data;
    size_t len;
    size_t used; /* bytes up to the unit's end */
};

static bool ends_line(const uint8_t *p, size_t n)
{
    return n > 0 && (memchr(p, '\n', n) != NULL || memchr(p, '\r', n) != NULL || memchr(p, 0, n) != NULL);
}

/* What is said or remembered: the unit, captured texts and variables put into a template. */
static bool put_text(struct starttls_run *r, const struct action *a, struct buf *to)
{
    return template_put(r, r->p, a->text, to) &&
           (a->kind == ACT_SET || r->p->unit.kind != UNIT_LINE || buf_append(to, "\r\n", 2));
}

/* A variable cannot end the line that it stands in, and begin one of its own. */
enum starttls_status run_send_text(struct starttls_run *r, const struct action *a, struct buf *say)
{
    size_t before = say->len;
    if (before > STARTTLS_MEMORY_MAX || !put_text(r, a, say)) {
        say->len = before;
        return run_fail(r, STARTTLS_TOO_MUCH, "more to say than is allowed");
    }
    if (r->p->unit.kind != UNIT_LINE || !ends_line(say->data + before, say->len - before - 2))
        return STARTTLS_MORE;
    say->len = before;
    return run_fail(r, STARTTLS_WRONG, "what is to be said in one line has more than one");
}

bool run_put_variable(struct starttls_run *r, const struct action *a)
{
    struct buf value = {.max = STARTTLS_MEMORY_MAX};
    bool ok = put_text(r, a, &value);
    if (ok && a->kind == ACT_SET)
        forget(r, a->to);
    ok = ok && remember(r, a->to, (struct str){(const char *)value.data, value.len});
    buf_free(&value);
    return ok;
}

/* Where an offer is missing the peer's last words are about something else. */
enum starttls_status run_fail_in_words(struct starttls_run *r, const struct action *a,
                                       enum starttls_failure failure, struct str unit)
{
    struct buf why = {.max = STARTTLS_MEMORY_MAX};
    template_put(r, r->p, a->text, &why);
    make_printable(&why);
    if (failure == STARTTLS_MISSING) {
        char text[FAILURE_TEXT_MAX];
        snprintf(text, sizeof(text), "%s: %.*s", starttls_name(r->p), (int)MIN(why.len, (size_t)240),
                 (const char *)why.data);
        buf_free(&why);
        return run_fail(r, failure, text);
    }
    enum starttls_status status = fail_at(r, failure, (struct str){(const char *)why.data, why.len}, unit);
    buf_free(&why);
    return status;
}

/* STARTTLS_MORE: the next action, or the next unit. */
static enum starttls_status act(struct starttls_run *r, const struct action *a, struct moment *m,
                                struct buf *say)
{
    switch ((enum action_kind)a->kind) {
    case ACT_SEND:
        return run_send_text(r, a, say);
    case ACT_SET:
    case ACT_ADD:
        return run_put_variable(r, a) ? STARTTLS_MORE : run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_REMEMBERED);
    case ACT_GO:
        r->state = a->to;
        return STARTTLS_MORE;
    case ACT_STAY:
        return STARTTLS_MORE;
    case ACT_SWITCH:
        return switch_to_tls(r, m->len - m->used);
    case ACT_PLAIN:
        r->onward = a->to;
        r->state = NO_INDEX;
        return STARTTLS_PLAIN;
    case ACT_DONE:
    case ACT_BYE:
        r->state = NO_INDEX;
        return a->kind == ACT_DONE ? STARTTLS_DONE : STARTTLS_BYE;
    case ACT_MISSING:
        return run_fail_in_words(r, a, STARTTLS_MISSING, m->unit);
    case ACT_REFUSED:
        return run_fail_in_words(r, a, STARTTLS_REFUSED, m->unit);
    case ACT_WRONG:
        return run_fail_in_words(r, a, STARTTLS_WRONG, m->unit);
    case ACT_REPLY:
    case ACT_PATCH:
    case ACT_STRIP:
    case ACT_FORWARD:
    case ACT_KEEP:
    case ACT_DROP:
        break; /* relay.c's */
    }
    return STARTTLS_FAILED;
}

static enum starttls_status act_all(struct starttls_run *r, struct range actions, struct moment *m,
                                    struct buf *say)
{
    enum starttls_status status = STARTTLS_MORE;
    for (uint16_t i = 0; i < actions.n && status == STARTTLS_MORE; i++)
        status = act(r, &r->p->actions[actions.first + i], m, say);
    return status;
}

/* ---- stepping ---- */

bool run_keep_captures(struct starttls_run *r, const struct captures *caught)
{
    for (uint16_t i = 0; i < r->p->vars_len; i++) {
        if (caught->v[i].p == NULL)
            continue;
        forget(r, i);
        if (!remember(r, i, caught->v[i]))
            return false;
    }
    return true;
}

/* For who gives up waiting. */
static void note_heard(struct starttls_run *r, bool stream, struct str said)
{
    size_t keep = stream ? MIN((size_t)r->heard_len, HEARD_MAX - MIN(said.len, (size_t)HEARD_MAX)) : 0;
    size_t n = MIN(said.len, HEARD_MAX - keep);
    memmove(r->heard, r->heard + r->heard_len - keep, keep);
    memcpy(r->heard + keep, stream ? said.p + said.len - n : said.p, n);
    r->heard_len = (uint8_t)(keep + n);
}

/* One unit. STARTTLS_MORE with *ret_used 0: there is none yet. */
static enum starttls_status step_unit(struct starttls_run *r, const uint8_t *data, size_t len,
                                      size_t *ret_used, struct buf *say)
{
    const struct state *s = &r->p->states[r->state];
    struct moment m = {.data = data, .len = len};
    struct captures caught = {0};
    *ret_used = 0;
    enum unit_status cut = unit_cut(&s->unit, data, len, &m.unit, &m.used);
    if (cut == UNIT_MORE)
        return STARTTLS_MORE;
    if (cut != UNIT_WHOLE)
        return run_fail_unit(r, cut, data, len);
    const struct rule *rule = s->unit.kind == UNIT_STREAM ? rule_of_stream(r, s, m.unit, &m.used)
                                                          : rule_of_unit(r, s, m.unit, &caught);
    bool stream = s->unit.kind == UNIT_STREAM;
    note_heard(r, stream, stream ? (struct str){(const char *)data, m.used} : m.unit);
    if (!run_count(r, rule != NULL, m.used))
        return run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_SAID);
    *ret_used = m.used;
    if (rule == NULL)
        return stream ? STARTTLS_MORE : fail_unexpected(r, m.unit);
    if (!run_keep_captures(r, &caught))
        return run_fail(r, STARTTLS_TOO_MUCH, TOO_MUCH_REMEMBERED);
    r->unit = m.unit;
    enum starttls_status status = act_all(r, rule->actions, &m, say);
    r->unit = (struct str){0};
    if (status == STARTTLS_PLAIN)
        *ret_used = 0;
    return status;
}

/* A server that speaks TLS from the first byte on answers what it takes for a bad ClientHello with an alert
 * (RFC 8446, 5.1 and 6). How many bytes begin as one does, of three. */
static size_t alert_begun(const uint8_t *data, size_t len)
{
    if (len < 1 || data[0] != 0x15)
        return 0;
    if (len < 2 || data[1] != 3)
        return len < 2 ? 1 : 0;
    return len < 3 ? 2 : data[2] >= 1 && data[2] <= 4 ? 3 : 0;
}

static enum starttls_status fail_at_once(struct starttls_run *r)
{
    char text[FAILURE_TEXT_MAX];
    snprintf(text, sizeof(text),
             "%.80s: the server answers with a TLS alert: TLS begins at once there, leave 'starttls' out",
             starttls_name(r->p));
    return run_fail(r, STARTTLS_AT_ONCE, text);
}

enum starttls_status starttls_run_step(struct starttls_run *r, const uint8_t *data, size_t len,
                                       size_t *ret_used, struct buf *say)
{
    size_t used = 0, n = 1, alert = 0;
    if (r->status == STARTTLS_MORE && r->bytes == 0 && run_is_in(r, STARTTLS_ASK))
        alert = alert_begun(data, len);
    if (alert == 3)
        r->status = fail_at_once(r);
    if (alert > 0)
        n = 0; /* nothing to go on with */
    while (r->status == STARTTLS_MORE && n > 0 && used < len) {
        r->status = step_unit(r, data + used, len - used, &n, say);
        used += n;
    }
    *ret_used = used;
    return r->status;
}

void starttls_run_begin(struct starttls_run *r, int section, struct buf *say)
{
    CHECK(section >= 0 && section < r->p->sections_len);
    r->of_client = section == r->p->known[STARTTLS_ANSWER] || section == r->p->known[STARTTLS_UNAVAILABLE];
    const struct section *s = &r->p->sections[section];
    struct moment nothing = {0};
    r->state = s->states.first;
    r->units = r->bytes = 0;
    r->heard_len = 0;
    r->onward = NO_INDEX;
    r->failure = STARTTLS_NO_FAILURE;
    r->status = conditions_hold(r, s->begin_conds) ? act_all(r, s->begin, &nothing, say) : STARTTLS_MORE;
}

int starttls_run_onward(const struct starttls_run *r)
{
    return r->onward == NO_INDEX ? -1 : r->onward;
}

enum starttls_failure starttls_run_failure(const struct starttls_run *r)
{
    return r->failure;
}

const char *starttls_run_text(const struct starttls_run *r)
{
    return r->text;
}

void starttls_run_welcome(struct starttls_run *r, struct buf *say)
{
    template_put(r, r->p, r->p->welcome, say);
}
