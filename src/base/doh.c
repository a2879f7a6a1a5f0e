/* SPDX-License-Identifier: Apache-2.0 */
#include "base/doh.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

#define HTTPS "https://"
#define BY_QUERY "targethost,targetpath}"

/* ---- URLs ---- */

static bool is_https(const char *url)
{
    return strncmp(url, HTTPS, strlen(HTTPS)) == 0;
}

/* The host of a URL in https:, with its port where one stands there. */
static struct str host_of(const char *url)
{
    const char *host = url + strlen(HTTPS);
    return (struct str){host, strcspn(host, "/?#")};
}

static bool same_host(const char *a, const char *b)
{
    struct str x = host_of(a), y = host_of(b);
    return x.len == y.len && strncasecmp(x.p, y.p, x.len) == 0;
}

/* A proxy has no use for more of the resolver's URL than these. */
static int split_target(const char *url, struct str *ret_host, struct str *ret_path, struct err *err)
{
    *ret_host = host_of(url);
    const char *path = ret_host->p + ret_host->len;
    if (ret_host->len == 0 || memchr(ret_host->p, '@', ret_host->len) != NULL || strchr(path, '#') != NULL ||
        *path == '?')
        return err_set(err,
                       "found '%s', expected https://HOST[:PORT]/PATH: no more can be passed on by a "
                       "proxy",
                       url);
    *ret_path = *path == '\0' ? (struct str){"/", 1} : (struct str){path, strlen(path)};
    return 0;
}

/* ---- the template (RFC 6570, 3.2) ---- */

/* How an expression is written, by its operator: what comes before the first value, and between two. */
struct form {
    char sign; /* '\0': none */
    const char *first, *apart;
    bool named;    /* each with its name */
    bool reserved; /* characters that have a meaning in URLs stay as they are */
};

static const struct form forms[] = {
    {'+', "", ",", false, true},  {'/', "/", "/", false, false}, {'?', "?", "&", true, false},
    {'&', "&", "&", true, false}, {'\0', "", ",", false, false},
};

struct variable {
    const char *name;
    struct str value;
    bool used;
};

enum { HOST, PATH, VARIABLES };

static void put_value(struct buf *ret, struct str value, bool reserved)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (reserved || isalnum(c) || memchr("-._~", c, 4) != NULL)
            CHECK(buf_append(ret, &c, 1));
        else
            CHECK(buf_printf(ret, "%%%02X", c));
    }
}

/* What stands between braces. Variables that nobody has set are left out (3.2.1). */
static void expand(struct str names, struct variable v[VARIABLES], struct buf *ret)
{
    const struct form *f = forms;
    while (f->sign != '\0' && (names.len == 0 || names.p[0] != f->sign))
        f++;
    if (f->sign != '\0')
        names = (struct str){names.p + 1, names.len - 1};
    const char *before = f->first;
    struct str name;
    while (str_item(&names, &name))
        for (size_t i = 0; i < VARIABLES; i++) {
            if (!str_is(name, v[i].name))
                continue;
            CHECK(buf_printf(ret, "%s%s%s", before, f->named ? v[i].name : "", f->named ? "=" : ""));
            put_value(ret, v[i].value, f->reserved);
            v[i].used = true;
            before = f->apart;
        }
}

/* False where a brace has no other one. */
static bool expand_all(const char *template, struct variable v[VARIABLES], struct buf *ret)
{
    const char *p = template;
    while (*p != '\0') {
        size_t plain = strcspn(p, "{}");
        CHECK(buf_append(ret, p, plain));
        p += plain;
        if (*p == '\0')
            return true;
        size_t len = strcspn(p + 1, "{}");
        if (*p != '{' || p[1 + len] != '}')
            return false;
        expand((struct str){p + 1, len}, v, ret);
        p += len + 2;
    }
    return true;
}

int doh_put_proxy_url(const struct doh_resolver *r, struct buf *ret, struct err *err)
{
    struct variable v[VARIABLES] = {[HOST] = {.name = "targethost"}, [PATH] = {.name = "targetpath"}};
    bool plain = strchr(r->proxy, '{') == NULL;
    struct buf template = {0};
    if (split_target(r->url, &v[HOST].value, &v[PATH].value, err) != 0)
        return -1;
    CHECK(buf_printf(&template, "%s%s", r->proxy,
                     !plain                          ? ""
                     : strchr(r->proxy, '?') == NULL ? "{?" BY_QUERY
                                                     : "{&" BY_QUERY));
    bool good = expand_all(buf_text(&template), v, ret) && v[HOST].used && v[PATH].used;
    buf_free(&template);
    return good
               ? 0
               : err_set(err,
                         "found '%s', expected a URI template with targethost and targetpath in braces, such "
                         "as https://proxy.example.org/proxy{?targethost,targetpath}",
                         r->proxy);
}

/* ---- settings ---- */

static int check_proxy(const struct doh_resolver *r, enum doh_part *ret_part, struct err *err)
{
    struct str host, path;
    struct buf url = {0};
    if (split_target(r->url, &host, &path, err) != 0)
        return -1;
    *ret_part = DOH_PROXY;
    if (!is_https(r->proxy) || strchr(r->proxy, '#') != NULL)
        return err_set(err, "found '%s', expected https://... without '#'", r->proxy);
    if (r->configs == NULL)
        return err_set(err,
                       "found '%s', and no file of the resolver's keys (its ObliviousDoHConfigs) to seal "
                       "questions for it with",
                       r->proxy);
    if (same_host(r->url, r->proxy))
        return err_set(err, "found '%s', which is the resolver itself: it would know both who asks and what",
                       r->proxy);
    int rc = doh_put_proxy_url(r, &url, err);
    buf_free(&url);
    return rc;
}

int doh_check(const struct doh_resolver *r, enum doh_part *ret_part, struct err *err)
{
    *ret_part = DOH_URL;
    if (!is_https(r->url))
        return err_set(err, "found '%s', expected https://...: in the clear it would tell what ECH hides",
                       r->url);
    if (r->proxy != NULL)
        return check_proxy(r, ret_part, err);
    *ret_part = DOH_CONFIGS;
    if (r->configs != NULL)
        return err_set(err, "found '%s', which is for asking through a proxy, and no proxy", r->configs);
    return 0;
}

bool doh_same(const struct doh_resolver *a, const struct doh_resolver *b)
{
    return str_same(a->url, b->url) && str_same(a->ca, b->ca) && str_same(a->proxy, b->proxy) &&
           str_same(a->configs, b->configs);
}

struct doh_resolver doh_copy(const struct doh_resolver *r)
{
    return (struct doh_resolver){.url = str_dup(r->url),
                                 .ca = str_dup(r->ca),
                                 .proxy = str_dup(r->proxy),
                                 .configs = str_dup(r->configs)};
}

void doh_free(struct doh_resolver *r)
{
    free((char *)(uintptr_t)r->url);
    free((char *)(uintptr_t)r->ca);
    free((char *)(uintptr_t)r->proxy);
    free((char *)(uintptr_t)r->configs);
    *r = (struct doh_resolver){0};
}
