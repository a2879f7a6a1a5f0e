/* SPDX-License-Identifier: Apache-2.0 */
/* sslh's command line, as the file that says the same. */
#include <string.h>

#include "base/check.h"
#include "import/door.h"
#include "import/libconfig.h"
#include "import/sslh.h"

/* What an option becomes. */
enum use { LISTEN, PROTOCOL, VALUE, ON, OFF };

static const struct sslh_flag {
    const char *name;
    char letter; /* '\0': there is none */
    enum use use;
    const char *setting; /* or the protocol's name */
} flags[] = {
    {"--listen", 'p', LISTEN, NULL},
    {"--ssh", '\0', PROTOCOL, "ssh"},
    {"--tls", '\0', PROTOCOL, "tls"},
    {"--ssl", '\0', PROTOCOL, "tls"},
    {"--http", '\0', PROTOCOL, "http"},
    {"--openvpn", '\0', PROTOCOL, "openvpn"},
    {"--wireguard", '\0', PROTOCOL, "wireguard"},
    {"--xmpp", '\0', PROTOCOL, "xmpp"},
    {"--tinc", '\0', PROTOCOL, "tinc"},
    {"--adb", '\0', PROTOCOL, "adb"},
    {"--socks5", '\0', PROTOCOL, "socks5"},
    {"--anyprot", '\0', PROTOCOL, "anyprot"},
    {"--timeout", 't', VALUE, "timeout"},
    {"--on-timeout", '\0', VALUE, "on-timeout"},
    {"--user", 'u', VALUE, "user"},
    {"--chroot", 'C', VALUE, "chroot"},
    {"--pidfile", 'P', VALUE, "pidfile"},
    {"--transparent", '\0', ON, "transparent"},
    {"--verbose", 'v', ON, "verbose"},
    {"--numeric", 'n', ON, "numeric"},
    {"--inetd", 'i', ON, "inetd"},
    {"--foreground", 'f', ON, "foreground"},
    {"--background", 'b', OFF, "foreground"},
};

static struct libconfig_value *add(struct import *im, struct libconfig_value *parent,
                                   enum libconfig_kind kind, const char *name, const char *text,
                                   struct place at)
{
    struct libconfig_value *v = pool_alloc(&im->pool, sizeof(*v));
    *v = (struct libconfig_value){.kind = kind, .name = name, .text = text, .at = at};
    v->comments = outline_new(&im->pool);
    *(parent->last != NULL ? &parent->last->next : &parent->first) = v;
    parent->last = v;
    return v;
}

/* An entry of 'listen' or 'protocols' for HOST:PORT. -1 with im->err. */
static int add_entry(struct import *im, struct libconfig_value *list, const char *protocol, const char *value,
                     struct place at)
{
    const char *host, *port;
    if (!door_split(im, value, &host, &port))
        return import_fail(im, at, "found '%s', expected HOST:PORT", value);
    struct libconfig_value *group = add(im, list, LIBCONFIG_GROUP, NULL, NULL, at);
    if (protocol != NULL)
        add(im, group, LIBCONFIG_SCALAR, "name", protocol, at);
    add(im, group, LIBCONFIG_SCALAR, "host", host, at);
    add(im, group, LIBCONFIG_SCALAR, "port", port, at);
    return 0;
}

/* The command line while it is read. */
struct args {
    struct import *im;
    struct libconfig_value *top, *listen, *protocols;
    struct place at; /* the column counts words */
    int argc;
    const char *const *argv;
};

static int take(const struct args *a, const struct sslh_flag *f, const char *value)
{
    switch (f->use) {
    case LISTEN:
        return add_entry(a->im, a->listen, NULL, value, a->at);
    case PROTOCOL:
        return add_entry(a->im, a->protocols, f->setting, value, a->at);
    case VALUE:
        break;
    case ON:
        value = "true";
        break;
    case OFF:
        value = "false";
        break;
    }
    add(a->im, a->top, LIBCONFIG_SCALAR, f->setting, value, a->at);
    return 0;
}

/* With `value`, or where that is NULL the next word. */
static int take_with(struct args *a, int *i, const struct sslh_flag *f, const char *value)
{
    if (value == NULL && ++*i == a->argc)
        return import_fail(a->im, a->at, "found '%s' at the end, expected its value", f->name);
    return take(a, f, value != NULL ? value : a->argv[*i]);
}

static int unknown(const struct args *a, const char *word)
{
    bool file = strncmp(word, "-F", 2) == 0 || strncmp(word, "--config", 8) == 0;
    return import_fail(a->im, a->at, "found '%.40s', expected an option of sslh(8)%s", word,
                       file ? "; import the file alone" : "");
}

static bool is_switch(const struct sslh_flag *f)
{
    return f->use == ON || f->use == OFF;
}

/* --NAME VALUE and --NAME=VALUE */
static int take_name(struct args *a, int *i)
{
    const char *word = a->argv[*i];
    size_t len = strcspn(word, "=");
    for (size_t n = 0; n < ARRAY_LEN(flags); n++) {
        const struct sslh_flag *f = &flags[n];
        if (strlen(f->name) == len && strncmp(word, f->name, len) == 0)
            return is_switch(f) ? take(a, f, NULL)
                                : take_with(a, i, f, word[len] == '=' ? word + len + 1 : NULL);
    }
    return unknown(a, word);
}

/* -S, several as -ST, -L VALUE and -LVALUE, also behind others. */
static int take_letters(struct args *a, int *i)
{
    const char *word = a->argv[*i];
    for (const char *p = word + 1; *p != '\0'; p++) {
        const struct sslh_flag *f = NULL;
        for (size_t n = 0; n < ARRAY_LEN(flags) && f == NULL; n++)
            if (flags[n].letter == *p)
                f = &flags[n];
        if (f == NULL)
            return unknown(a, word);
        if (!is_switch(f))
            return take_with(a, i, f, p[1] != '\0' ? p + 1 : NULL);
        if (take(a, f, NULL) < 0)
            return -1;
    }
    return 0;
}

struct libconfig_value *sslh_from_args(struct import *im, int argc, const char *const *argv)
{
    struct args a = {.im = im, .at = {"sslh", 1, 1}, .argc = argc, .argv = argv};
    a.top = pool_alloc(&im->pool, sizeof(*a.top));
    *a.top = (struct libconfig_value){.kind = LIBCONFIG_GROUP, .at = a.at};
    a.listen = add(im, a.top, LIBCONFIG_LIST, "listen", NULL, a.at);
    a.protocols = add(im, a.top, LIBCONFIG_LIST, "protocols", NULL, a.at);
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        a.at.column = (unsigned)i + 1;
        int rc = word[0] != '-' || word[1] == '\0' ? unknown(&a, word)
                 : word[1] == '-'                  ? take_name(&a, &i)
                                                   : take_letters(&a, &i);
        if (rc < 0)
            return NULL;
    }
    return a.top;
}
