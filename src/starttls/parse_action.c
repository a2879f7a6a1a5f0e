/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a rule does: actions and what each takes. */
#include <string.h>

#include "base/check.h"
#include "starttls/parse.h"

/* What an action takes. */
enum argument { NOTHING, TEMPLATE, VAR_TEMPLATE, A_STATE, MAYBE_STATE, MAYBE_SECTION, A_PATCH, A_VAR };

/* In which rules it may stand. */
enum where { IN_DIALOGUES = 1, IN_RELAYS = 2, ANYWHERE = 3 };

static const struct {
    const char *word;
    enum action_kind kind;
    enum argument takes;
    bool ends;
    enum where where;
} action_words[] = {
    {"send", ACT_SEND, TEMPLATE, false, ANYWHERE},
    {"set", ACT_SET, VAR_TEMPLATE, false, ANYWHERE},
    {"add", ACT_ADD, VAR_TEMPLATE, false, ANYWHERE},
    {"go", ACT_GO, A_STATE, true, ANYWHERE},
    {"stay", ACT_STAY, NOTHING, true, ANYWHERE},
    {"switch", ACT_SWITCH, NOTHING, true, IN_DIALOGUES},
    {"switch", ACT_SWITCH, MAYBE_STATE, true, IN_RELAYS},
    {"done", ACT_DONE, NOTHING, true, ANYWHERE},
    {"plain", ACT_PLAIN, MAYBE_SECTION, true, IN_DIALOGUES},
    {"plain", ACT_PLAIN, NOTHING, true, IN_RELAYS},
    {"bye", ACT_BYE, NOTHING, true, ANYWHERE},
    {"missing", ACT_MISSING, TEMPLATE, true, ANYWHERE},
    {"refused", ACT_REFUSED, TEMPLATE, true, ANYWHERE},
    {"wrong", ACT_WRONG, TEMPLATE, true, ANYWHERE},
    {"reply", ACT_REPLY, TEMPLATE, false, IN_RELAYS},
    {"patch", ACT_PATCH, A_PATCH, false, IN_RELAYS},
    {"strip", ACT_STRIP, TEMPLATE, false, IN_RELAYS},
    {"forward", ACT_FORWARD, NOTHING, false, IN_RELAYS},
    {"keep", ACT_KEEP, NOTHING, false, IN_RELAYS},
    {"drop", ACT_DROP, A_VAR, false, IN_RELAYS},
};

int parse_variable_name(struct parse *p, uint16_t *ret)
{
    struct str s = {0};
    return parse_word(p, "the name of a variable", &s) != 0 ? -1 : parse_variable(p, s, ret);
}

/* A name that may come later in the script: found once all of it is there. */
static int read_name(struct parse *p, const char *expected, bool is_section, uint16_t action)
{
    struct str s = {0};
    if (parse_word(p, expected, &s) != 0)
        return -1;
    p->later = parse_grow(p, p->later, sizeof(*p->later), &p->later_len);
    p->later[p->later_len - 1] = (struct later){p->lex.token, action, is_section};
    return 0;
}

/* patch VARIABLE AT up|down|set|clear N */
static int read_patch(struct parse *p, struct action *a)
{
    static const char *const hows[] = {
        [PATCH_UP] = "up", [PATCH_DOWN] = "down", [PATCH_SET] = "set", [PATCH_CLEAR] = "clear"};
    struct str how = {0};
    uint32_t at = 0, value = 0;
    if (parse_variable_name(p, &a->to) != 0 ||
        parse_number(p, "how many bytes behind the beginning of what was taken", 1024, &at) != 0 ||
        parse_word(p, "what is done to the byte: up, down, set or clear", &how) != 0)
        return -1;
    a->at = (uint16_t)at;
    while (a->how < ARRAY_LEN(hows) && !str_is(how, hows[a->how]))
        a->how++;
    if (a->how == ARRAY_LEN(hows))
        return parse_found(p, "what is done to the byte: up, down, set or clear");
    if (parse_number(p, "by how much, or the sum of the bits, from 0 to 255", 255, &value) != 0)
        return -1;
    a->value = (uint8_t)value;
    return 0;
}

static bool ends_line(const struct starttls *s, struct seq text)
{
    int depth = 0; /* of functions, which write it some other way */
    for (uint16_t i = 0; i < text.n; i++) {
        const struct op *op = &s->ops[text.first + i];
        const char *bytes = script_text(s, op->at);
        depth += (op->kind == OP_OPEN) - (op->kind == OP_CLOSE);
        if (op->kind == OP_TEXT && op->len > 0 && depth == 0 &&
            (memchr(bytes, '\n', op->len) != NULL || memchr(bytes, '\r', op->len) != NULL))
            return true;
    }
    return false;
}

/* Where units are lines what is said is one, which gets its end by itself. */
static int check_line(struct parse *p, const struct action *a, struct token token)
{
    bool says = a->kind == ACT_SEND || a->kind == ACT_REPLY;
    if (p->script->unit.kind != UNIT_LINE || !says || !ends_line(p->script, a->text))
        return 0;
    p->lex.token = token;
    return lex_error(&p->lex, p->err,
                     "found the end of a line in what is to be said, expected none: units are lines here, "
                     "and each gets its end by itself");
}

static int read_argument(struct parse *p, enum argument takes, uint16_t index)
{
    struct starttls *s = p->script;
    struct token token = p->lex.token;
    struct seq text = {0};
    uint16_t var = NO_INDEX;
    struct str name = {0};
    if (takes == VAR_TEMPLATE &&
        (parse_word(p, "the name of a variable", &name) != 0 || parse_gives(p, name, &var) != 0))
        return -1;
    if (takes == A_VAR &&
        (parse_word(p, "the name of a variable", &name) != 0 || parse_own(p, name, &var) != 0))
        return -1;
    if (takes == A_VAR)
        parse_note_use(p, p->lex.token, var);
    if ((takes == TEMPLATE || takes == VAR_TEMPLATE) && parse_template(p, &text) != 0)
        return -1;
    s->actions[index].to = var;
    s->actions[index].text = text;
    if (check_line(p, &s->actions[index], token) != 0)
        return -1;
    if (takes == A_STATE)
        return read_name(p, "the name of a state", false, index);
    if (takes == A_PATCH)
        return read_patch(p, &s->actions[index]);
    if (takes != MAYBE_SECTION && takes != MAYBE_STATE)
        return 0;
    struct token t = lex_next(&p->lex);
    lex_back(&p->lex);
    bool section = takes == MAYBE_SECTION;
    const char *expected = section ? "the name of a section" : "the name of a state";
    return t.kind == TOKEN_WORD ? read_name(p, expected, section, index) : 0;
}

static int read_action(struct parse *p, bool *ret_ends)
{
    static const char expected[] =
        "an action: send, set, add, go, stay, switch, done, plain, bye, missing, refused or wrong";
    static const char of_relays[] =
        "an action: forward, reply, send, patch, strip, keep, set, add, drop, go, stay, "
        "switch, done, plain, bye, missing, refused or wrong";
    enum where here = p->in_relay ? IN_RELAYS : IN_DIALOGUES;
    struct starttls *s = p->script;
    struct str name = {0};
    size_t i = 0;
    if (parse_word(p, expected, &name) != 0)
        return -1;
    while (i < ARRAY_LEN(action_words) &&
           ((action_words[i].where & here) == 0 || !str_is(name, action_words[i].word)))
        i++;
    if (i == ARRAY_LEN(action_words))
        return parse_found(p, p->in_relay ? of_relays : expected);
    s->actions = parse_grow(p, s->actions, sizeof(*s->actions), &s->actions_len);
    s->actions[s->actions_len - 1].kind = (uint8_t)action_words[i].kind;
    *ret_ends = action_words[i].ends;
    return read_argument(p, action_words[i].takes, (uint16_t)(s->actions_len - 1));
}

int parse_actions(struct parse *p, struct range *ret)
{
    ret->first = p->script->actions_len;
    for (bool ends = false;;) {
        if (ends)
            return parse_found(p, "nothing: the action before ends the rule");
        if (read_action(p, &ends) != 0)
            return -1;
        struct token t = lex_next(&p->lex);
        if (t.kind == TOKEN_END || t.kind == TOKEN_EOF)
            break;
        if (!token_is(t, ";"))
            return parse_found(p, "';' and another action, or the end of the line");
    }
    ret->n = (uint16_t)(p->script->actions_len - ret->first);
    return 0;
}
