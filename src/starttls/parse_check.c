/* SPDX-License-Identifier: Apache-2.0 */
/* What can be read but makes no sense: it would only show with the one peer that comes there, as a dialogue
 * that hangs or a word that is empty. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "starttls/parse.h"

/* What a script's variables may have from outside (cardea-starttls(5), Variables). */
static const char *const given[] = {"me",   "name",     "addr", "port",    "literal", "user",
                                    "unit", "required", "why",  "greeted", NULL};

/* Sections that somebody asks for by name. */
static const char *const known[] = {
#define X(NAME, name) name,
#include "tables/starttls_sections.def"
#undef X
    NULL};

const char *starttls_section_name(enum starttls_section which)
{
    CHECK(which < STARTTLS_SECTIONS);
    return known[which];
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* ---- a rule ---- */

static bool takes_all(const struct starttls *s, const struct rule *rule)
{
    if (rule->conds.n > 0 || rule->has_len > 0)
        return false;
    for (uint16_t i = 0; i < rule->patterns.n; i++) {
        const struct seq *seq = &s->patterns[rule->patterns.first + i];
        if (seq->n == 1 && s->ops[seq->first].kind == OP_REST)
            return true;
    }
    return false;
}

int parse_check_rule(struct parse *p, const struct rule *rule, struct token token)
{
    if (p->full)
        return 0;
    if (p->takes_all[rule->side]) {
        p->lex.token = token;
        return lex_error(
            &p->lex, p->err,
            "found a rule behind one that takes everything ({...} without a condition), so it would "
            "never match; expected it before that one");
    }
    p->takes_all[rule->side] = takes_all(p->script, rule);
    return 0;
}

/* ---- the whole ---- */

static int check_states(struct parse *p)
{
    const struct starttls *s = p->script;
    for (uint16_t i = 0; i < s->sections_len; i++) {
        const struct range *states = &s->sections[i].states;
        for (uint16_t j = 1; j < states->n; j++) {
            const struct place *state = &p->states[states->first + j];
            const char *name = script_text(s, s->states[states->first + j].name_at);
            p->lex.token = state->token;
            if (!state->named)
                return lex_error(
                    &p->lex, p->err,
                    "found state '%s', to which nothing leads; expected a 'go %s' in this section", name,
                    name);
        }
    }
    return 0;
}

static bool begins_tls(const struct starttls *s, const struct section *section)
{
    for (uint16_t i = 0; i < section->states.n; i++) {
        const struct range *rules = &s->states[section->states.first + i].rules;
        for (uint16_t j = 0; j < rules->n; j++) {
            const struct range *actions = &s->rules[rules->first + j].actions;
            for (uint16_t k = 0; k < actions->n; k++)
                if (s->actions[actions->first + k].kind == ACT_SWITCH)
                    return true;
        }
    }
    return false;
}

/* Before TLS there is nobody to hold back a client that says more and more meanwhile. */
static int check_waits(struct parse *p, const struct section *section)
{
    const struct starttls *s = p->script;
    for (uint16_t i = 0; section->switches && i < section->states.n; i++) {
        if (!s->states[section->states.first + i].near_waits)
            continue;
        p->lex.token = p->states[section->states.first + i].token;
        return lex_error(
            &p->lex, p->err,
            "found 'near waits' in a relay in which TLS begins, expected it in one within TLS only");
    }
    return 0;
}

static int check_sections(struct parse *p)
{
    const struct starttls *s = p->script;
    char near[STR_HINT_MAX];
    for (uint16_t i = 0; i < s->sections_len; i++) {
        const char *name = script_text(s, s->sections[i].name_at);
        p->lex.token = p->sections[i].token;
        if (!p->sections[i].named && !is_one_of(name, known))
            return lex_error(
                &p->lex, p->err,
                "found section '%s', which no 'plain' names; expected ask, answer, greet, settle, "
                "identify, unavailable, relay-server, relay-client, relay-both or relay-identify%s",
                name, str_hint(name, known, near));
        if (strcmp(name, "ask") == 0 && !begins_tls(s, &s->sections[i]))
            return lex_error(
                &p->lex, p->err,
                "found a section ask in which TLS never begins, expected 'switch' in one of its rules");
        if (check_waits(p, &s->sections[i]) != 0)
            return -1;
    }
    return 0;
}

/* All that a variable can be called, where it is known. */
static const char *nearest_variable(const struct parse *p, const char *name, char ret[STR_HINT_MAX])
{
    const struct starttls *s = p->script;
    const char *names[VARS_MAX + ARRAY_LEN(given)];
    size_t n = 0;
    for (size_t i = 0; given[i] != NULL; i++)
        names[n++] = given[i];
    for (uint16_t i = 0; i < s->vars_len; i++)
        if (p->has_value[i])
            names[n++] = script_text(s, s->vars[i]);
    names[n] = NULL;
    return str_hint(name, names, ret);
}

static int check_variables(struct parse *p)
{
    const struct starttls *s = p->script;
    char near[STR_HINT_MAX];
    for (uint16_t i = 0; i < p->uses_len; i++) {
        const struct place *use = &p->uses[i];
        const char *name = script_text(s, s->vars[use->var]);
        p->lex.token = use->token;
        if (!p->has_value[use->var] && !is_one_of(name, given))
            return lex_error(
                &p->lex, p->err,
                "found '%s', which nothing in the script sets, adds to or takes from the peer, and which "
                "has no value by itself%s",
                name, nearest_variable(p, name, near));
    }
    return 0;
}

int parse_check_script(struct parse *p)
{
    if (check_sections(p) != 0 || check_states(p) != 0)
        return -1;
    return check_variables(p);
}
