/* SPDX-License-Identifier: Apache-2.0 */
/* The making of a script. Private to starttls/. */
#ifndef CARDEA_STARTTLS_PARSE_H
#define CARDEA_STARTTLS_PARSE_H

#include "starttls/lex.h"
#include "starttls/script.h"

/* A name whose state or section may come later in the text. */
struct later {
    struct token token;
    uint16_t action;
    bool is_section;
};

/* Where something stands in the text, for what can be told of it at the end only. */
struct place {
    struct token token;
    uint16_t var; /* of a place where a variable's value is wanted */
    bool named;   /* of a state or section: somebody leads there */
};

struct parse {
    struct lexer lex;
    struct starttls *script;
    struct err *err;
    struct later *later;
    uint16_t later_len;
    struct place *uses, *states, *sections; /* of variables; the others as the script has them */
    uint16_t uses_len, states_len, sections_len;
    bool has_value[VARS_MAX];     /* something may give it one */
    bool takes_all[RULE_FAR + 1]; /* in this state a rule for that side takes whatever comes */
    bool in_relay;                /* its rules are for two sides */
    bool in_begin;                /* a section has begun, and no state of it */
    bool full;                    /* an array has all that indices can name */
};

/* Error: what was found at the present word, and what was expected. Returns -1. */
int parse_found(struct parse *p, const char *expected);

/* A zeroed element more at the end of an array of *len; where it is from now on. */
void *parse_grow(struct parse *p, void *array, size_t size, uint16_t *len);

/* Keep text, with a NUL; its place. */
uint32_t parse_keep(struct parse *p, struct str s);

/* The index of a variable, new or not. -1 with an error when there are too many. */
int parse_variable(struct parse *p, struct str name, uint16_t *ret);

/* The same of one that the script changes. -1 too for one that holds what it is told: what a client says
 * would pass for what it has proven. */
int parse_own(struct parse *p, struct str name, uint16_t *ret);

/* The same of one that is given a value here. */
int parse_gives(struct parse *p, struct str name, uint16_t *ret);

/* The value of a variable is wanted at `token`. */
void parse_note_use(struct parse *p, struct token token, uint16_t var);

/* The next word; `expected` is what an error says. */
int parse_word(struct parse *p, const char *expected, struct str *ret);

/* The next word as a decimal number of `max` at most. */
int parse_number(struct parse *p, const char *expected, uint32_t max, uint32_t *ret);

/* ---- parse_check.c ---- */

/* A rule is complete, `token` its first word: can it ever match? */
int parse_check_rule(struct parse *p, const struct rule *rule, struct token token);

/* The script is complete: does all of it make sense? */
int parse_check_script(struct parse *p);

/* ---- parse_unit.c ---- */

/* What follows the word `unit`. */
int parse_unit(struct parse *p, struct unit *ret);

/* ---- parse_action.c ---- */

/* The name of a variable, which the next word is. */
int parse_variable_name(struct parse *p, uint16_t *ret);

/* The actions to the end of the line. */
int parse_actions(struct parse *p, struct range *ret);

/* ---- parse_seq.c ---- */

/* From the present word on, as far as it goes. The word that follows is the next one. */
int parse_pattern(struct parse *p, struct seq *ret);
int parse_template(struct parse *p, struct seq *ret);

#endif
