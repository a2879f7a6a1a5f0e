/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a script: statements. What stands in patterns and templates is parse_seq.c's. */
#include "starttls/parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SCRIPT_MAX 262144u /* bytes of a script */
#define NAME_MAX_LEN 64

int parse_found(struct parse *p, const char *expected)
{
    struct token t = p->lex.token;
    static const char *const ends[] = {[TOKEN_END] = "the end of the line",
                                       [TOKEN_EOF] = "the end of the file",
                                       [TOKEN_BAD] =
                                           "a quote or brace that is not closed, or a stray character"};
    if (t.kind >= TOKEN_END)
        return lex_error(&p->lex, p->err, "found %s, expected %s", ends[t.kind], expected);
    return lex_error(&p->lex, p->err, "found '%.*s', expected %s", (int)MIN(t.text.len, (size_t)80), t.text.p,
                     expected);
}

void *parse_grow(struct parse *p, void *array, size_t size, uint16_t *len)
{
    if (*len == NO_INDEX - 1) {
        p->full = true; /* the last one is written over: nothing that is known by its index moves */
        --*len;
    }
    if ((*len & (*len - 1)) == 0) { /* full at powers of two */
        array = realloc(array, (size_t)(*len == 0 ? 1 : *len * 2) * size);
        CHECK(array != NULL);
    }
    memset((char *)array + *len * size, 0, size);
    ++*len;
    return array;
}

uint32_t parse_keep(struct parse *p, struct str s)
{
    uint32_t at = (uint32_t)p->script->text.len;
    CHECK(buf_append(&p->script->text, s.p, s.len) && buf_append(&p->script->text, "", 1));
    return at;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!lex_is_word_char(s.p[i]))
            return false;
    return s.len > 0 && s.len < NAME_MAX_LEN;
}

int parse_variable(struct parse *p, struct str name, uint16_t *ret)
{
    struct starttls *s = p->script;
    if (!is_name(name))
        return lex_error(&p->lex, p->err,
                         "found '{%.*s}', expected a name of letters, digits, '-', '_' and '.'",
                         (int)MIN(name.len, (size_t)80), name.p);
    for (*ret = 0; *ret < s->vars_len; ++*ret)
        if (str_is(name, script_text(s, s->vars[*ret])))
            return 0;
    if (s->vars_len == VARS_MAX)
        return lex_error(&p->lex, p->err, "found more than %d names of variables", VARS_MAX);
    if (str_is(name, "unit"))
        s->unit_var = s->vars_len;
    s->vars[s->vars_len++] = parse_keep(p, name);
    return 0;
}

int parse_own(struct parse *p, struct str name, uint16_t *ret)
{
    static const char *const told[] = {"me", "addr", "port", "literal", "user", "unit", "required"};
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        if (str_is(name, told[i]))
            return lex_error(&p->lex, p->err,
                             "found '%s' where a variable gets a value, expected a name of the script's own: "
                             "that one is told to it, and nobody else is to say what it holds",
                             told[i]);
    return parse_variable(p, name, ret);
}

int parse_gives(struct parse *p, struct str name, uint16_t *ret)
{
    if (parse_own(p, name, ret) != 0)
        return -1;
    p->has_value[*ret] = true;
    return 0;
}

int parse_word(struct parse *p, const char *expected, struct str *ret)
{
    struct token t = lex_next(&p->lex);
    if (t.kind != TOKEN_WORD)
        return parse_found(p, expected);
    *ret = t.text;
    return 0;
}

int parse_number(struct parse *p, const char *expected, uint32_t max, uint32_t *ret)
{
    struct str s = {0};
    char text[16];
    uint64_t v;
    if (parse_word(p, expected, &s) != 0)
        return -1;
    if (!str_copy(text, sizeof(text), s.p, s.len) || !str_u64(text, max, &v))
        return parse_found(p, expected);
    *ret = (uint32_t)v;
    return 0;
}

void parse_note_use(struct parse *p, struct token token, uint16_t var)
{
    p->uses = parse_grow(p, p->uses, sizeof(*p->uses), &p->uses_len);
    p->uses[p->uses_len - 1] = (struct place){.token = token, .var = var};
}

static int end_of_line(struct parse *p)
{
    struct token t = lex_next(&p->lex);
    return t.kind == TOKEN_END || t.kind == TOKEN_EOF ? 0 : parse_found(p, "the end of the line");
}

/* ---- rules, states, sections ---- */

static int read_conditions(struct parse *p, struct range *ret)
{
    struct starttls *s = p->script;
    ret->first = s->conds_len;
    for (;;) {
        struct token t = lex_next(&p->lex);
        bool negated = token_is(t, "unless");
        if (!negated && !token_is(t, "if"))
            break;
        uint16_t var = NO_INDEX;
        if (parse_variable_name(p, &var) != 0)
            return -1;
        parse_note_use(p, p->lex.token, var);
        s->conds = parse_grow(p, s->conds, sizeof(*s->conds), &s->conds_len);
        s->conds[s->conds_len - 1] = (struct cond){var, negated};
    }
    lex_back(&p->lex);
    ret->n = (uint16_t)(s->conds_len - ret->first);
    return 0;
}

static int read_has(struct parse *p, struct rule *rule)
{
    struct token t = lex_next(&p->lex);
    if (t.kind != TOKEN_STRING || t.text.len == 0)
        return parse_found(p, "the word that must be there, in quotes");
    rule->has_at = parse_keep(p, t.text);
    rule->has_len = (uint32_t)t.text.len;
    return 0;
}

static int read_patterns(struct parse *p, struct rule *rule)
{
    struct starttls *s = p->script;
    rule->patterns.first = s->patterns_len;
    for (;;) {
        struct seq seq;
        if (parse_pattern(p, &seq) != 0)
            return -1;
        s->patterns = parse_grow(p, s->patterns, sizeof(*s->patterns), &s->patterns_len);
        s->patterns[s->patterns_len - 1] = seq;
        rule->patterns.n++;
        struct token t = lex_next(&p->lex);
        if (token_is(t, "|"))
            continue;
        if (token_is(t, "has") && read_has(p, rule) != 0)
            return -1;
        if (!token_is(t, "has"))
            lex_back(&p->lex);
        return token_is(lex_next(&p->lex), ":") ? 0 : parse_found(p, "':' and what is done then");
    }
}

/* In a stream there is text to look for, and nothing else. */
static int check_stream(struct parse *p, const struct rule *rule, const struct state *state)
{
    const struct starttls *s = p->script;
    const struct seq *seq = &s->patterns[rule->patterns.first];
    if (state->unit.kind != UNIT_STREAM)
        return 0;
    if (rule->patterns.n == 1 && rule->has_len == 0 && seq->n == 1 && s->ops[seq->first].kind == OP_TEXT)
        return 0;
    return lex_error(&p->lex, p->err,
                     "in a stream a rule has one text to look for, without anything to capture");
}

/* A section is a dialogue with one peer, or stands between two: its name tells. */
static int check_side(struct parse *p, enum rule_side side)
{
    const struct starttls *s = p->script;
    p->in_relay = side != RULE_PEER;
    if (s->sections[s->sections_len - 1].relays != p->in_relay)
        return lex_error(&p->lex, p->err,
                         "sections called relay-... have rules 'near' and 'far', all others 'on'");
    if (side == RULE_NEAR && s->states[s->states_len - 1].near_waits)
        return lex_error(&p->lex, p->err,
                         "what the client says waits in this state: expected rules 'far' only");
    if (p->in_relay && s->states[s->states_len - 1].unit.kind == UNIT_STREAM)
        return lex_error(&p->lex, p->err, "a stream cannot be relayed: it is not cut into units");
    return 0;
}

static bool switches(const struct starttls *s, struct range actions)
{
    for (uint16_t i = 0; i < actions.n; i++)
        if (s->actions[actions.first + i].kind == ACT_SWITCH)
            return true;
    return false;
}

static int read_rule(struct parse *p)
{
    struct starttls *s = p->script;
    const struct token begins = p->lex.token;
    struct rule rule = {.side = token_is(p->lex.token, "near")  ? RULE_NEAR
                                : token_is(p->lex.token, "far") ? RULE_FAR
                                                                : RULE_PEER};
    if (s->states_len == 0 || p->in_begin)
        return lex_error(&p->lex, p->err, "found a rule, expected a state before it");
    if (check_side(p, (enum rule_side)rule.side) != 0)
        return -1;
    struct state *state = &s->states[s->states_len - 1];
    if (read_conditions(p, &rule.conds) != 0 || read_patterns(p, &rule) != 0 ||
        parse_actions(p, &rule.actions) != 0 || check_stream(p, &rule, state) != 0 ||
        parse_check_rule(p, &rule, begins) != 0)
        return -1;
    s->sections[s->sections_len - 1].switches |= rule.side != RULE_PEER && switches(s, rule.actions);
    s->rules = parse_grow(p, s->rules, sizeof(*s->rules), &s->rules_len);
    s->rules[s->rules_len - 1] = rule;
    state->rules.n++;
    return 0;
}

static int find_state(const struct starttls *s, const struct section *in, struct str name)
{
    for (uint16_t i = 0; i < in->states.n; i++)
        if (str_is(name, script_text(s, s->states[in->states.first + i].name_at)))
            return in->states.first + i;
    return -1;
}

static int read_state_unit(struct parse *p, struct unit *unit)
{
    const struct starttls *s = p->script;
    if (!token_is(lex_next(&p->lex), "unit"))
        lex_back(&p->lex);
    else if (parse_unit(p, unit) != 0)
        return -1;
    if (unit->kind == UNIT_CONTENT && !s->sections[s->sections_len - 1].relays)
        return lex_error(&p->lex, p->err, "'content' is a unit of relays: a mail is passed on, not answered");
    return 0;
}

static int read_waits(struct parse *p, bool *ret)
{
    const struct starttls *s = p->script;
    *ret = token_is(lex_next(&p->lex), "near");
    if (!*ret) {
        lex_back(&p->lex);
        return 0;
    }
    if (!s->sections[s->sections_len - 1].relays)
        return lex_error(&p->lex, p->err, "'near waits' is for relays: a dialogue has one peer");
    return token_is(lex_next(&p->lex), "waits") ? 0 : parse_found(p, "'waits'");
}

static int read_state(struct parse *p)
{
    struct starttls *s = p->script;
    struct str name = {0};
    if (s->sections_len == 0)
        return lex_error(&p->lex, p->err, "found a state, expected a section before it");
    if (parse_word(p, "the state's name", &name) != 0)
        return -1;
    if (find_state(s, &s->sections[s->sections_len - 1], name) >= 0)
        return lex_error(&p->lex, p->err, "there is a state '%.*s' in this section already", (int)name.len,
                         name.p);
    p->states = parse_grow(p, p->states, sizeof(*p->states), &p->states_len);
    p->states[p->states_len - 1] = (struct place){.token = p->lex.token};
    memset(p->takes_all, 0, sizeof(p->takes_all));
    struct state state = {.name_at = parse_keep(p, name), .unit = s->unit, .rules = {s->rules_len, 0}};
    if (read_state_unit(p, &state.unit) != 0 || read_waits(p, &state.near_waits) != 0)
        return -1;
    s->states = parse_grow(p, s->states, sizeof(*s->states), &s->states_len);
    s->states[s->states_len - 1] = state;
    s->sections[s->sections_len - 1].states.n++;
    p->in_begin = false;
    return end_of_line(p);
}

/* The names that `go` and `plain` have named, in the section that ends here or, of sections, in the whole. */
static int resolve(struct parse *p, bool sections)
{
    struct starttls *s = p->script;
    for (uint16_t i = 0; i < p->later_len; i++) {
        struct later *l = &p->later[i];
        if (l->is_section != sections)
            continue;
        char name[64];
        str_copy(name, sizeof(name), l->token.text.p, l->token.text.len);
        int to = sections ? starttls_section_named(s, name)
                          : find_state(s, &s->sections[s->sections_len - 1], l->token.text);
        p->lex.token = l->token;
        if (sections && to >= 0 && s->sections[to].relays)
            return parse_found(p, "a section that is a dialogue, not a relay");
        if (to < 0)
            return parse_found(p, sections ? "a section of this script" : "a state of this section");
        s->actions[l->action].to = (uint16_t)to;
        (sections ? p->sections : p->states)[to].named = true;
        if (!sections)
            p->later[i--] = p->later[--p->later_len];
    }
    return 0;
}

static bool is_over_at_once(const struct starttls *s, const struct section *section)
{
    const struct range *begin = &section->begin;
    return section->begin_conds.n == 0 && begin->n > 0 &&
           s->actions[begin->first + begin->n - 1].kind == ACT_BYE;
}

/* A section that is over has a state, unless it never gets to one, and knows those it names. */
static int end_section(struct parse *p)
{
    const struct starttls *s = p->script;
    if (s->sections_len == 0)
        return 0;
    const struct section *section = &s->sections[s->sections_len - 1];
    if (section->states.n == 0 && !is_over_at_once(s, section))
        return lex_error(&p->lex, p->err, "section %s has no state", script_text(s, section->name_at));
    return resolve(p, false);
}

static int read_section(struct parse *p)
{
    struct starttls *s = p->script;
    struct str name = {0};
    if (end_section(p) != 0 || parse_word(p, "the section's name", &name) != 0)
        return -1;
    struct section section = {.name_at = parse_keep(p, name),
                              .relays = name.len > 6 && memcmp(name.p, "relay-", 6) == 0,
                              .states = {s->states_len, 0}};
    if (starttls_section_named(s, script_text(s, section.name_at)) >= 0)
        return lex_error(&p->lex, p->err, "there is a section '%.*s' already", (int)name.len, name.p);
    p->sections = parse_grow(p, p->sections, sizeof(*p->sections), &p->sections_len);
    p->sections[p->sections_len - 1] = (struct place){.token = p->lex.token};
    s->sections = parse_grow(p, s->sections, sizeof(*s->sections), &s->sections_len);
    s->sections[s->sections_len - 1] = section;
    p->in_begin = true;
    return end_of_line(p);
}

/* Only a client that is turned away has heard all there is before it has said anything. */
static int check_begin(struct parse *p, const struct section *section)
{
    const struct starttls *s = p->script;
    const struct range *begin = &section->begin;
    bool may_end = strcmp(script_text(s, section->name_at), starttls_section_name(STARTTLS_UNAVAILABLE)) == 0;
    for (uint16_t i = 0; i < begin->n; i++) {
        uint8_t kind = s->actions[begin->first + i].kind;
        if (kind > ACT_ADD && !(may_end && kind == ACT_BYE))
            return lex_error(&p->lex, p->err, "'begin' can send, set and add%s; the rest is for rules",
                             may_end ? ", and bye" : "");
    }
    return 0;
}

static int read_begin(struct parse *p)
{
    struct starttls *s = p->script;
    if (!p->in_begin || s->sections[s->sections_len - 1].begin.n > 0)
        return lex_error(&p->lex, p->err, "'begin' stands once, between a section and its first state");
    struct section *section = &s->sections[s->sections_len - 1];
    if (section->relays)
        return lex_error(&p->lex, p->err, "a relay has no 'begin': it speaks when somebody has spoken");
    p->in_relay = false;
    if (read_conditions(p, &section->begin_conds) != 0 || parse_actions(p, &section->begin) != 0)
        return -1;
    return check_begin(p, section);
}

/* ---- the whole ---- */

static int read_port(struct parse *p)
{
    uint32_t port = 0;
    if (parse_number(p, "a port", 65535, &port) != 0)
        return -1;
    p->script->port = (uint16_t)port;
    return end_of_line(p);
}

static int read_alpn(struct parse *p)
{
    struct str name = {"", 0};
    if (p->script->alpn != NULL)
        return lex_error(&p->lex, p->err, "found a second 'alpn'");
    if (parse_word(p, "the protocol's name in ALPN", &name) != 0)
        return -1;
    CHECK(name.p != NULL && (p->script->alpn = strndup(name.p, name.len)) != NULL);
    return end_of_line(p);
}

static int read_close(struct parse *p)
{
    if (!token_is(lex_next(&p->lex), "premature"))
        return parse_found(p, "'premature'");
    p->script->premature = true;
    return end_of_line(p);
}

static int read_user(struct parse *p)
{
    uint32_t most = 0;
    if (parse_number(p, "how many bytes of a user's name the server looks at", 255, &most) != 0)
        return -1;
    p->script->user_max = (uint16_t)most;
    return end_of_line(p);
}

static int read_default_unit(struct parse *p)
{
    if (p->script->sections_len > 0)
        return lex_error(&p->lex, p->err, "'unit' for all states stands before the first section");
    return parse_unit(p, &p->script->unit) != 0 ? -1 : end_of_line(p);
}

static int read_welcome(struct parse *p)
{
    return parse_template(p, &p->script->welcome) != 0 ? -1 : end_of_line(p);
}

static int read_statement(struct parse *p)
{
    static const struct {
        const char *word;
        int (*read)(struct parse *);
    } statements[] = {{"port", read_port},       {"alpn", read_alpn},         {"close", read_close},
                      {"user", read_user},       {"unit", read_default_unit}, {"welcome", read_welcome},
                      {"section", read_section}, {"begin", read_begin},       {"state", read_state},
                      {"on", read_rule},         {"near", read_rule},         {"far", read_rule}};
    struct token t = p->lex.token;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        if (token_is(t, statements[i].word))
            return statements[i].read(p);
    return parse_found(
        p, "a statement: port, alpn, close, user, unit, welcome, section, begin, state, on, near or far");
}

static int read_script(struct parse *p)
{
    for (;;) {
        struct token t = lex_next(&p->lex);
        if (t.kind == TOKEN_EOF)
            break;
        if (t.kind != TOKEN_END && read_statement(p) != 0)
            return -1;
        if (p->full)
            return lex_error(&p->lex, p->err, "the script is too long");
    }
    if (p->script->sections_len == 0)
        return lex_error(&p->lex, p->err,
                         "found no section, expected 'section ask' or 'section answer' at least");
    if (end_section(p) != 0 || resolve(p, true) != 0 || parse_check_script(p) != 0)
        return -1;
    for (size_t i = 0; i < STARTTLS_SECTIONS; i++)
        p->script->known[i] = (int16_t)starttls_section_named(p->script, starttls_section_name(i));
    return 0;
}

struct starttls *starttls_parse(const char *name, const char *text, size_t len, struct err *err)
{
    struct starttls *s = calloc(1, sizeof(*s));
    CHECK(s != NULL && (s->name = strdup(name)) != NULL);
    s->unit_var = NO_INDEX;
    struct parse p = {
        .lex = {.name = name, .text = text, .at = text, .end = text + len}, .script = s, .err = err};
    int r = len > SCRIPT_MAX ? err_set(err, "%s: found %zu bytes, expected at most %u", name, len, SCRIPT_MAX)
                             : read_script(&p);
    free(p.later);
    free(p.uses);
    free(p.states);
    free(p.sections);
    if (r == 0)
        return s;
    starttls_free(s);
    return NULL;
}

void starttls_free(struct starttls *p)
{
    if (p == NULL)
        return;
    buf_free(&p->text);
    free(p->ops);
    free(p->patterns);
    free(p->conds);
    free(p->actions);
    free(p->rules);
    free(p->states);
    free(p->sections);
    free(p->name);
    free(p->alpn);
    free(p);
}

const char *starttls_name(const struct starttls *p)
{
    return p->name;
}

const char *starttls_alpn(const struct starttls *p)
{
    return p->alpn;
}

bool starttls_closes_premature(const struct starttls *p)
{
    return p->premature;
}

uint16_t starttls_port(const struct starttls *p)
{
    return p->port;
}

int starttls_section(const struct starttls *p, enum starttls_section which)
{
    return p->known[which];
}

int starttls_section_named(const struct starttls *p, const char *name)
{
    for (uint16_t i = 0; i < p->sections_len; i++)
        if (strcmp(script_text(p, p->sections[i].name_at), name) == 0)
            return i;
    return -1;
}

bool starttls_speaks_first(const struct starttls *p, int section)
{
    CHECK(section >= 0 && section < p->sections_len);
    const struct range begin = p->sections[section].begin;
    for (uint16_t i = 0; i < begin.n; i++)
        if (p->actions[begin.first + i].kind == ACT_SEND)
            return true;
    return false;
}
