/* SPDX-License-Identifier: Apache-2.0 */
/* sslh's command line, as the file that says the same. */
#include <string.h>

#include "base/check.h"
#include "import/libconfig.h"
#include "import/sslh.h"

/* What an option becomes. */
enum use { LISTEN, PROTOCOL, VALUE, FLAG };

static const struct sslh_flag {
    const char *name, *letter; /* letter: NULL where there is none */
    enum use use;
    const char *setting; /* or the protocol's name */
} flags[] = {
    {"--listen", "-p", LISTEN, NULL},
    {"--ssh", NULL, PROTOCOL, "ssh"},
    {"--tls", NULL, PROTOCOL, "tls"},
    {"--ssl", NULL, PROTOCOL, "tls"},
    {"--http", NULL, PROTOCOL, "http"},
    {"--openvpn", NULL, PROTOCOL, "openvpn"},
    {"--wireguard", NULL, PROTOCOL, "wireguard"},
    {"--xmpp", NULL, PROTOCOL, "xmpp"},
    {"--tinc", NULL, PROTOCOL, "tinc"},
    {"--adb", NULL, PROTOCOL, "adb"},
    {"--socks5", NULL, PROTOCOL, "socks5"},
    {"--anyprot", NULL, PROTOCOL, "anyprot"},
    {"--timeout", "-t", VALUE, "timeout"},
    {"--on-timeout", NULL, VALUE, "on-timeout"},
    {"--user", "-u", VALUE, "user"},
    {"--chroot", "-C", VALUE, "chroot"},
    {"--pidfile", "-P", VALUE, "pidfile"},
    {"--transparent", NULL, FLAG, "transparent"},
    {"--verbose", "-v", FLAG, "verbose"},
    {"--numeric", "-n", FLAG, "numeric"},
    {"--inetd", "-i", FLAG, "inetd"},
    {"--foreground", "-f", FLAG, "foreground"},
    {"--background", "-b", FLAG, "foreground"},
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
    const char *colon = strrchr(value, ':');
    if (colon == NULL)
        return import_fail(im, at, "found '%s', expected HOST:PORT", value);
    bool brackets = *value == '[' && colon > value + 1 && colon[-1] == ']';
    struct libconfig_value *group = add(im, list, LIBCONFIG_GROUP, NULL, NULL, at);
    if (protocol != NULL)
        add(im, group, LIBCONFIG_SCALAR, "name", protocol, at);
    add(im, group, LIBCONFIG_SCALAR, "host",
        pool_copy(&im->pool, value + brackets, (size_t)(colon - value) - (brackets ? 2 : 0)), at);
    add(im, group, LIBCONFIG_SCALAR, "port", colon + 1, at);
    return 0;
}

/* --NAME VALUE, --NAME=VALUE, -L VALUE and -LVALUE. `*ret_value` is NULL where the next word is the value. */
static const struct sslh_flag *find_flag(const char *word, const char **ret_value)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        size_t len = strlen(flags[i].name);
        *ret_value = NULL;
        if (strncmp(word, flags[i].name, len) == 0 && (word[len] == '\0' || word[len] == '=')) {
            *ret_value = word[len] == '=' ? word + len + 1 : NULL;
            return &flags[i];
        }
        if (flags[i].letter != NULL && strncmp(word, flags[i].letter, 2) == 0) {
            *ret_value = word[2] != '\0' ? word + 2 : NULL;
            return &flags[i];
        }
    }
    return NULL;
}

static int take_flag(struct import *im, struct libconfig_value *top, struct libconfig_value *lists[2],
                     const struct sslh_flag *f, const char *value, struct place at)
{
    switch (f->use) {
    case LISTEN:
        return add_entry(im, lists[0], NULL, value, at);
    case PROTOCOL:
        return add_entry(im, lists[1], f->setting, value, at);
    default:
        add(im, top, LIBCONFIG_SCALAR, f->setting, f->use == FLAG ? "true" : value, at);
        return 0;
    }
}

struct libconfig_value *sslh_from_args(struct import *im, int argc, const char *const *argv)
{
    struct place at = {"sslh", 1, 1};
    struct libconfig_value *top = pool_alloc(&im->pool, sizeof(*top));
    *top = (struct libconfig_value){.kind = LIBCONFIG_GROUP, .at = at};
    struct libconfig_value *lists[] = {add(im, top, LIBCONFIG_LIST, "listen", NULL, at),
                                       add(im, top, LIBCONFIG_LIST, "protocols", NULL, at)};
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct sslh_flag *f = find_flag(argv[i], &value);
        at.column = (unsigned)i + 1;
        if (f == NULL) {
            import_fail(im, at, "found '%.40s', expected an option of sslh(8)%s", argv[i],
                        strncmp(argv[i], "-F", 2) == 0 || strncmp(argv[i], "--config", 8) == 0
                            ? "; import the file alone"
                            : "");
            return NULL;
        }
        if (value == NULL && f->use != FLAG && ++i == argc) {
            import_fail(im, at, "found '%s' at the end, expected its value", f->name);
            return NULL;
        }
        if (take_flag(im, top, lists, f, value != NULL || f->use == FLAG ? value : argv[i], at) < 0)
            return NULL;
    }
    return top;
}
