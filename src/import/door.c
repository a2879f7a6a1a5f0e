/* SPDX-License-Identifier: Apache-2.0 */
#include "import/door.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

#define NAME_MAX_LEN 64
#define NAME_ROOM 56 /* of it, before what makes it unique */
#define DIRECTORY_FILES_MAX 1024

/* Names
 * ------------------------------------------------------------------------------------------------------- */

static const struct node *item_named(const struct node *list, const char *name)
{
    for (const struct node *n = list->first; n != NULL; n = n->next) {
        const char *its = outline_get(n, "name");
        if (its != NULL && strcmp(its, name) == 0)
            return n;
    }
    return NULL;
}

const char *door_name(struct import *im, const struct node *list, const char *text)
{
    char clean[NAME_MAX_LEN + 1];
    str_copy(clean, NAME_ROOM, text, strlen(text));
    for (char *p = clean; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL)
            *p = '-';
    const char *stem = clean[0] == '\0' ? "unnamed" : pool_copy(&im->pool, clean, strlen(clean));
    const char *name = stem;
    for (unsigned n = 2; item_named(list, name) != NULL; n++)
        name = pool_printf(&im->pool, "%s-%u", stem, n);
    return name;
}

/* Parts
 * ------------------------------------------------------------------------------------------------------- */

struct node *door_listener(struct import *im, const char *stem, const char *address)
{
    const char *name = door_name(im, im->listeners, stem);
    struct node *n = outline_item(im->listeners);
    outline_set(n, "name", name);
    if (address != NULL)
        outline_set(n, "address", address);
    return n;
}

struct node *door_route(struct import *im, const char *stem, const char *listener)
{
    const char *name = door_name(im, im->routes, stem);
    struct node *n = outline_item(im->routes);
    outline_set(n, "name", name);
    if (listener != NULL)
        outline_add(outline_list(n, "listeners"), listener);
    return n;
}

const char *door_certificate(struct import *im, const char *stem, const char *certificate, const char *key)
{
    for (const struct node *n = im->certificates->first; n != NULL; n = n->next)
        if (strcmp(outline_get(n, "certificate"), certificate) == 0 &&
            strcmp(outline_get(n, "key"), key) == 0)
            return outline_get(n, "name");
    const char *name = door_name(im, im->certificates, stem);
    struct node *n = outline_item(im->certificates);
    outline_set(n, "name", name);
    outline_set(n, "certificate", certificate);
    outline_set(n, "key", key);
    return name;
}

const char *door_pem(struct import *im, struct node *n, struct setting *s)
{
    static const char *const kinds[] = {".p12", ".pfx", ".pkcs12", ".jks", ".jceks"};
    size_t len = strlen(s->value);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t end = strlen(kinds[i]);
        if (len < end || strcasecmp(s->value + len - end, kinds[i]) != 0)
            continue;
        bool java = kinds[i][1] == 'j';
        const char *out = pool_printf(&im->pool, "%.*s.pem", (int)(len - end), s->value);
        setting_remark(
            im, n, s, FATE_DIFFERS,
            "cardea reads PEM; convert it, and keep the key to yourself: %s(umask 077; openssl pkcs12 -in "
            "%s -nodes -out %s)",
            java ? "keytool -importkeystore to PKCS#12, then: " : "", java ? "THAT" : s->value, out);
        return out;
    }
    return s->value;
}

static bool same_texts(const struct node *a, const struct node *b)
{
    const struct node *x = a == NULL ? NULL : a->first, *y = b == NULL ? NULL : b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next)
        if (strcmp(x->text, y->text) != 0)
            return false;
    return x == NULL && y == NULL;
}

static void copy_texts(struct node *to, const struct node *from)
{
    for (const struct node *n = from->first; n != NULL; n = n->next)
        outline_add(to, n->text);
}

const char *door_trust(struct import *im, const char *stem, const struct node *ca, const struct node *crl)
{
    for (const struct node *n = im->trust->first; n != NULL; n = n->next)
        if (same_texts(outline_find(n, "ca"), ca) && same_texts(outline_find(n, "crl"), crl))
            return outline_get(n, "name");
    const char *name = door_name(im, im->trust, strcmp(stem, "system") == 0 ? "systems" : stem);
    struct node *n = outline_item(im->trust);
    outline_set(n, "name", name);
    copy_texts(outline_list(n, "ca"), ca);
    if (crl->first != NULL)
        copy_texts(outline_list(n, "crl"), crl);
    return name;
}

void door_clients(struct node *route, const char *mode, const char *trust)
{
    struct node *clients = outline_map(route, "clients");
    outline_set(clients, "mode", mode);
    outline_set(clients, "trust", trust);
}

void door_allow(struct import *im, const struct node *route, const char *key, const struct node *values)
{
    const char *of = outline_get(route, "name");
    const char *name = door_name(im, im->policy, of);
    struct node *row = outline_item(im->policy);
    outline_set(row, "name", name);
    struct node *who = outline_map(row, "who");
    if (key == NULL)
        outline_flag(who, "any", true);
    else
        copy_texts(outline_list(who, key), values);
    outline_add(outline_list(row, "routes"), of);
}

struct node *door_proxy(struct node *route, const char *version)
{
    struct node *told = outline_map(route, "hand_on");
    outline_set(told, "proxy", version);
    return told;
}

/* Addresses
 * ------------------------------------------------------------------------------------------------------- */

bool door_split(struct import *im, const char *text, const char **ret_host, const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    bool brackets = *text == '[' && colon > text + 1 && colon[-1] == ']';
    *ret_host = pool_copy(&im->pool, text + brackets, (size_t)(colon - text) - (brackets ? 2 : 0));
    *ret_port = colon + 1;
    return true;
}

const char *door_address(struct import *im, const char *host, const char *port)
{
    return pool_printf(&im->pool, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

const char *door_port(struct import *im, struct node *n, struct setting *s, const char *port)
{
    uint64_t number;
    if (str_u64(port, UINT16_MAX, &number) && number > 0)
        return pool_printf(&im->pool, "%u", (unsigned)number);
    uint16_t known = im->files->port(im->files->arg, port);
    if (known != 0)
        return pool_printf(&im->pool, "%u", known);
    setting_remark(im, n, s, FATE_MISSING,
                   "'%s' is no port from 1 to 65535, nor in services(5): write its number", port);
    return NULL;
}

static bool is_address(const char *host)
{
    uint8_t ignored[16];
    return inet_pton(AF_INET, host, ignored) == 1 || inet_pton(AF_INET6, host, ignored) == 1;
}

const char *door_listen(struct import *im, struct node *n, struct setting *s, const char *host,
                        const char *port)
{
    const char *number = door_port(im, n, s, port);
    if (number == NULL)
        return NULL;
    if (*host == '\0' || strcmp(host, "*") == 0)
        return pool_printf(&im->pool, "*:%s", number);
    if (!is_address(host)) {
        if (strcmp(host, "localhost") != 0)
            setting_remark(
                im, n, s, FATE_MISSING,
                "a listener has an IP address, not the name '%s': write the address; until then only "
                "this machine can connect",
                host);
        host = "127.0.0.1";
    }
    return door_address(im, host, number);
}

/* TLS
 * ------------------------------------------------------------------------------------------------------- */

/* What OpenSSL calls a group, and what cardea does. */
static const char *group_of(const char *curve)
{
    static const struct {
        const char *curve, *group;
    } known[] = {
#define X(name, code, hybrid, remark) {name, name},
#include "tables/groups.def"
#undef X
        {"prime256v1", "P-256"},
        {"secp256r1", "P-256"},
        {"secp384r1", "P-384"},
        {"secp521r1", "P-521"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcasecmp(known[i].curve, curve) == 0)
            return known[i].group;
    return NULL;
}

void door_groups(struct import *im, struct node *n, struct node *tls, struct setting *s)
{
    struct node *groups = outline_list(tls, "groups");
    for (const char *p = s->value; *p != '\0';) {
        size_t len = strcspn(p, ":");
        const char *curve = pool_copy(&im->pool, p, len), *group = group_of(curve);
        if (group != NULL)
            outline_add(groups, group);
        else
            setting_remark(im, n, s, FATE_DIFFERS,
                           "without '%s', which cardea does not have; first among its defaults is "
                           "X25519MLKEM768, which keeps what is recorded today from a quantum computer",
                           curve);
        p += len + (p[len] == ':');
    }
}

/* Texts, each with a NUL behind it, as `struct import_files` gives them. */
static void add_each(struct import *im, const struct buf *texts, const char *glob, const char *before,
                     struct node *list)
{
    const char *end = (const char *)texts->data + texts->len;
    size_t n = 0;
    for (const char *text = (const char *)texts->data; text != NULL && text < end; text += strlen(text) + 1)
        if (str_glob(glob, text) && n++ < DIRECTORY_FILES_MAX)
            outline_add(list, pool_printf(&im->pool, "%s%s", before, text));
}

int door_directory(struct import *im, const char *directory, const char *glob, struct node *list)
{
    struct buf names = {0};
    struct err ignored;
    if (im->files->list(im->files->arg, directory, &names, &ignored) < 0)
        return -1;
    add_each(im, &names, glob, pool_printf(&im->pool, "%s/", directory), list);
    buf_free(&names);
    return 0;
}

void door_pins(struct import *im, const char *path, struct node *list)
{
    struct buf pins = {0};
    struct err ignored;
    if (im->files->pins(im->files->arg, path, &pins, &ignored) == 0)
        add_each(im, &pins, "*", "", list);
    buf_free(&pins);
}
