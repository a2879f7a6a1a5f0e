/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea completion`: what a shell needs to complete command lines of cardea, made from tables/verbs.def. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/protocols.h"
#include "cmd/verb_flags.h"
#include "starttls/starttls.h"

struct verb_text {
    const char *name, *summary, *synopsis, *options;
};

static const struct verb_text verbs[] = {
#define VERB(name, function, summary, synopsis, options) {name, summary, synopsis, options},
#include "tables/verbs.def"
#undef VERB
};

/* What may follow. */
enum kind { NOTHING, ANYTHING, FILES, FOLDERS, WORDS, VERBS };

/* ---- what the table says ---- */

/* Of the name that stands for a value: "FILE", "unix:PATH", "v1|v2". */
static enum kind kind_of(const char *value)
{
    bool words = strchr(value, '|') != NULL;
    for (const char *p = value; *p != '\0'; p++)
        words =
            words && (islower((unsigned char)*p) || isdigit((unsigned char)*p) || strchr("|-.", *p) != NULL);
    if (*value == '\0')
        return NOTHING;
    if (words)
        return WORDS;
    if (strcmp(value, "FILE") == 0 || strcmp(value, "PATH") == 0)
        return FILES;
    if (strcmp(value, "VERB") == 0)
        return VERBS;
    return strcmp(value, "DIR") == 0 ? FOLDERS : ANYTHING;
}

static bool is_of_starttls(const struct verb_flag *flag)
{
    return strcmp(flag->name, "--starttls") == 0;
}

/* The names of those that are built in, in place of PROTOCOL. */
static void name_protocols(struct verb_flag *flag, enum starttls_section can)
{
    struct buf list = {0};
    if (!is_of_starttls(flag))
        return;
    protocols_put(&list, can, "|");
    CHECK(str_copy(flag->value, sizeof(flag->value), buf_text(&list), list.len));
    buf_free(&list);
}

/* The flags of a verb; those that are told of with another one, as there. */
static void read_flags(const struct verb_text *verb, struct verb_flags *ret)
{
    struct verb_flags other;
    verb_flags_read(verb->options, ret);
    for (size_t i = 0; i < ret->n; i++) {
        name_protocols(&ret->v[i], STARTTLS_ASK);
        for (size_t k = 0; ret->v[i].elsewhere && k < ARRAY_LEN(verbs); k++) {
            verb_flags_read(verbs[k].options, &other);
            for (size_t j = 0; j < other.n; j++)
                if (strcmp(other.v[j].name, ret->v[i].name) == 0 && !other.v[j].elsewhere)
                    ret->v[i] = other.v[j];
        }
    }
}

/* The words that forms of a verb begin with, such as server|client. False: there are none. */
static bool find_forms(const struct verb_text *verb, char *ret, size_t cap)
{
    size_t used = 0;
    for (const char *line = verb->synopsis, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz");
        if (len > 0 && (line[len] == ' ' || line[len] == '\n') && used + len + 1 < cap)
            used += (size_t)snprintf(ret + used, cap - used, "%s%.*s", used > 0 ? "|" : "", (int)len, line);
    }
    return used > 0;
}

/* Behind those from `first` on that go with the same form. */
static size_t end_of_form(const struct verb_flags *flags, size_t first)
{
    size_t end = first;
    while (end < flags->n && strcmp(flags->v[end].form, flags->v[first].form) == 0)
        end++;
    return end;
}

/* What a verb takes beside options, out of its synopsis: the first word that is a list, DIR, FILE or VERB and
 * that is no option's value. */
static enum kind operand_of(const struct verb_text *verb, char *ret, size_t cap)
{
    bool after_flag = false;
    if (find_forms(verb, ret, cap))
        return WORDS;
    for (const char *p = verb->synopsis; *p != '\0'; p++) {
        size_t len = strcspn(p, " \n"), skip = strspn(p, "[");
        bool flag = p[skip] == '-';
        size_t name = strcspn(p + skip, "]. \n");
        if (!flag && !after_flag && name > 0 && name < cap) {
            memcpy(ret, p + skip, name);
            ret[name] = '\0';
            enum kind kind = kind_of(ret);
            if (kind != ANYTHING)
                return kind;
        }
        after_flag = flag && memchr(p, ']', len) == NULL && p[len] != '\n';
        p += len;
        if (*p == '\0')
            break;
    }
    *ret = '\0';
    return ANYTHING;
}

/* ---- writing ---- */

/* Within single quotes and brackets of any shell. */
static void put_text(const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '\'':
            fputs("\xe2\x80\x99", stdout);
            break;
        case '[':
            putchar('(');
            break;
        case ']':
            putchar(')');
            break;
        case '\\':
            break;
        default:
            putchar(*text);
        }
}

/* "v1|v2" with `between` in place of the bars. */
static void put_words(const char *list, char between)
{
    for (; *list != '\0'; list++)
        putchar(*list == '|' ? between : *list);
}

static void put_verbs(char between)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        printf("%s%s", i > 0 ? (const char[]){between, '\0'} : "", verbs[i].name);
}

/* ---- bash ---- */

static void put_bash_kind(enum kind kind, const char *words)
{
    if (kind == WORDS || kind == VERBS)
        printf(" words='");
    if (kind == WORDS)
        put_words(words, ' ');
    if (kind == VERBS)
        put_verbs(' ');
    if (kind == WORDS || kind == VERBS)
        putchar('\'');
    if (kind == FILES || kind == FOLDERS)
        printf(" paths=%s", kind == FILES ? "-f" : "-d");
}

/* A server is wrapped only in what can be answered in its stead. */
static void put_bash_answered(struct verb_flag *flag)
{
    name_protocols(flag, STARTTLS_ANSWER);
    printf("; [ \"${COMP_WORDS[2]}\" != server ] ||");
    put_bash_kind(WORDS, flag->value);
}

static void put_bash_verb(const struct verb_text *verb)
{
    struct verb_flags flags;
    char words[64];
    read_flags(verb, &flags);
    for (size_t i = 0; i < flags.n; i++) {
        enum kind kind = kind_of(flags.v[i].value);
        if (kind == NOTHING)
            continue;
        printf("    '%s %s')", verb->name, flags.v[i].name);
        put_bash_kind(kind, flags.v[i].value);
        if (is_of_starttls(&flags.v[i]))
            put_bash_answered(&flags.v[i]);
        printf(" ;;\n");
    }
    printf("    '%s '*)", verb->name);
    put_bash_kind(operand_of(verb, words, sizeof(words)), words);
    for (size_t i = 0, end; i < flags.n; i = end) {
        const char *form = flags.v[i].form;
        end = end_of_form(&flags, i);
        printf("\n        ");
        if (*form != '\0')
            printf("[ \"${COMP_WORDS[2]}\" != %s ] || ", form);
        printf("words+='");
        for (size_t k = i; k < end; k++)
            printf(" %s", flags.v[k].name);
        putchar('\'');
    }
    printf(" ;;\n");
}

static void put_bash(void)
{
    printf("# Completion for bash, made by: cardea completion bash\n"
           "_cardea()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words= paths=\n"
           "    COMPREPLY=()\n"
           "    [ \"$COMP_CWORD\" -gt 1 ] || prev=\n"
           "    case \"${prev:+${COMP_WORDS[1]} $prev}\" in\n"
           "    '') words='");
    put_verbs(' ');
    printf("' ;;\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        put_bash_verb(&verbs[i]);
    printf("    esac\n"
           "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "    if [ -n \"$paths\" ] && [[ $cur != -* ]]; then\n"
           "        compopt -o filenames\n"
           "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen \"$paths\" -- \"$cur\")\n"
           "    fi\n}\n"
           "complete -F _cardea cardea\n");
}

/* ---- zsh ---- */

static void put_zsh_kind(enum kind kind, const char *value)
{
    putchar(':');
    put_text(kind == WORDS || *value == '\0' ? "what" : value);
    putchar(':');
    if (kind == WORDS || kind == VERBS)
        putchar('(');
    if (kind == WORDS)
        put_words(value, ' ');
    if (kind == VERBS)
        put_verbs(' ');
    if (kind == WORDS || kind == VERBS)
        putchar(')');
    if (kind == FILES || kind == FOLDERS)
        printf("_files%s", kind == FOLDERS ? " -/" : "");
}

/* The colons of a value would end its name. */
static const char *zsh_name(const char *value)
{
    return strchr(value, ':') != NULL ? "" : value;
}

static void put_zsh_flag(const struct verb_flag *flag)
{
    enum kind kind = kind_of(flag->value);
    printf(" \\\n        '*%s[", flag->name);
    put_text(flag->help);
    putchar(']');
    if (kind != NOTHING)
        put_zsh_kind(kind, zsh_name(flag->value));
    putchar('\'');
}

/* What goes with one form of a verb only is put into `more`. */
static void put_zsh_forms(const struct verb_text *verb)
{
    struct verb_flags flags;
    read_flags(verb, &flags);
    for (size_t i = 0, end; i < flags.n; i = end) {
        end = end_of_form(&flags, i);
        if (flags.v[i].form[0] == '\0')
            continue;
        printf("    '%s %s') more=(", verb->name, flags.v[i].form);
        for (size_t k = i; k < end; k++)
            put_zsh_flag(&flags.v[k]);
        printf(") ;;\n");
    }
}

static void put_zsh_verb(const struct verb_text *verb)
{
    struct verb_flags flags;
    char operand[64];
    read_flags(verb, &flags);
    printf("    %s) _arguments -S $more", verb->name);
    for (size_t i = 0; i < flags.n; i++)
        if (flags.v[i].form[0] == '\0')
            put_zsh_flag(&flags.v[i]);
    enum kind kind = operand_of(verb, operand, sizeof(operand));
    printf(" \\\n        '*");
    put_zsh_kind(kind, operand);
    printf("' ;;\n");
}

static void put_zsh(void)
{
    printf("#compdef cardea\n"
           "# Completion for zsh, made by: cardea completion zsh\n"
           "_cardea() {\n"
           "    local -a verbs=(\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        printf("        '%s:", verbs[i].name);
        put_text(verbs[i].summary);
        printf("'\n");
    }
    printf("    )\n"
           "    if (( CURRENT == 2 )); then\n"
           "        _describe verb verbs\n"
           "        return\n"
           "    fi\n"
           "    local verb=$words[2]\n"
           "    local -a more=()\n"
           "    shift words\n"
           "    (( CURRENT-- ))\n"
           "    case \"$verb ${words[2]-}\" in\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        put_zsh_forms(&verbs[i]);
    printf("    esac\n"
           "    case $verb in\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        put_zsh_verb(&verbs[i]);
    printf("    esac\n}\n"
           /* autoloaded as a function, or sourced */
           "if [ \"$funcstack[1]\" = _cardea ]; then _cardea \"$@\"; else compdef _cardea cardea; fi\n");
}

/* ---- fish ---- */

static void put_fish_kind(enum kind kind, const char *words)
{
    static const char *const how[] = {
        [ANYTHING] = " -x", [FILES] = " -r -F", [FOLDERS] = " -x -a '(__fish_complete_directories)'"};
    if (kind == WORDS || kind == VERBS)
        printf(" -x -a '");
    if (kind == WORDS)
        put_words(words, ' ');
    if (kind == VERBS)
        put_verbs(' ');
    printf("%s", kind == WORDS || kind == VERBS ? "'" : kind == NOTHING ? "" : how[kind]);
}

static void put_fish_verb(const struct verb_text *verb)
{
    struct verb_flags flags;
    char operand[64];
    read_flags(verb, &flags);
    enum kind kind = operand_of(verb, operand, sizeof(operand));
    if (kind != ANYTHING) {
        printf("complete -c cardea -n '__fish_seen_subcommand_from %s'", verb->name);
        put_fish_kind(kind, operand);
        putchar('\n');
    }
    for (size_t i = 0; i < flags.n; i++) {
        const struct verb_flag *f = &flags.v[i];
        printf("complete -c cardea -n '__fish_seen_subcommand_from %s%s%s' -%c %s", verb->name,
               f->form[0] != '\0' ? "; and __fish_seen_subcommand_from " : "", f->form,
               f->name[1] == '-' ? 'l' : 's', f->name + strspn(f->name, "-"));
        put_fish_kind(kind_of(f->value), f->value);
        printf(" -d '");
        put_text(f->help);
        printf("'\n");
    }
}

static void put_fish(void)
{
    printf("# Completion for fish, made by: cardea completion fish\n"
           "complete -c cardea -f\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        printf("complete -c cardea -n __fish_use_subcommand -a %s -d '", verbs[i].name);
        put_text(verbs[i].summary);
        printf("'\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        put_fish_verb(&verbs[i]);
}

int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return cmd_usage("completion", true);
    if (argc != 2)
        return cmd_misused("completion", "for which shell? expected bash, zsh or fish");
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (strcmp(argv[1], shells[i].name) == 0) {
            shells[i].put();
            return CMD_OK;
        }
    return cmd_misused("completion", "found '%s', expected bash, zsh or fish", argv[1]);
}
