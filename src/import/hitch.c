/* SPDX-License-Identifier: Apache-2.0 */
/* Each frontend becomes a listener and a route to the one backend. */
#include "import/hitch.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "import/door.h"
#include "import/option_rows.h"

#define GLOBAL HITCH_GLOBAL
#define FRONTEND HITCH_FRONTEND
#define BOTH (HITCH_GLOBAL | HITCH_FRONTEND)
#define PEM HITCH_PEM
static const struct option_row rows[] = {
#include "tables/import_hitch.def"
};

/* A frontend while it is built; `f` is NULL for the one that hitch has where none is said. */
struct building {
    struct hitch *h;
    struct hitch_frontend *f;
    struct node *route, *action;
    const char *stem;
};

/* Of the frontend, else of all. */
static struct setting *option(const struct building *b, const char *name)
{
    struct setting *own = b->f == NULL ? NULL : setting_find(&b->f->own.scope, name);
    return own != NULL ? own : setting_find(&b->h->global.scope, name);
}

static int on_off(const struct building *b, const char *name, bool fallback, bool *ret)
{
    const struct setting *s = option(b, name);
    if (s != NULL && (strcasecmp(s->value, "yes") == 0 || strcasecmp(s->value, "true") == 0))
        return *ret = true, 0;
    if (s != NULL && (strcasecmp(s->value, "no") == 0 || strcasecmp(s->value, "false") == 0))
        return *ret = false, 0;
    return setting_bool(&b->h->im, s, "on", "off", fallback, ret);
}

/* ---- Addresses ---- */

/* Split "[HOST]:PORT" and what follows a '+'. -1 with im.err. */
static int split(struct hitch *h, const struct setting *s, const char **ret_host, const char **ret_port,
                 const char **ret_more)
{
    size_t len = strcspn(s->value, "+");
    const char *address = pool_copy(&h->im.pool, s->value, len);
    *ret_more = s->value[len] == '+' ? s->value + len + 1 : NULL;
    bool good = *address == '[' && door_split(&h->im, address, ret_host, ret_port) && **ret_host != '[';
    return good ? 0
                : import_fail(&h->im, s->at, "found '%s' for '%s', expected \"[HOST]:PORT\"", s->value,
                              s->row->name);
}

static int unknown_port(struct hitch *h, const struct setting *s, const char *port)
{
    return import_fail(&h->im, s->at,
                       "found port '%s', expected a number from 1 to 65535 or a name of services(5)", port);
}

/* Where a frontend listens, and the certificate that is named with it, or NULL. -1 with im.err. */
static int find_listen(struct building *b, const struct hitch_frontend *f, const char **ret_address,
                       const char **ret_pem)
{
    struct import *im = &b->h->im;
    const char *host = setting_value(&f->own.scope, "host", "*");
    const char *port = setting_value(&f->own.scope, "port", NULL);
    if (*f->said->value != '\0' && split(b->h, f->said, &host, &port, ret_pem) < 0)
        return -1;
    if (port == NULL)
        return import_fail(im, f->said->at,
                           "found a frontend without 'port', expected the port that it listens on");
    b->stem = pool_printf(&im->pool, "tls-%s", port);
    *ret_address = door_listen(im, f->remarks, f->said, host, port);
    return *ret_address != NULL ? 0 : unknown_port(b->h, f->said, port);
}

static int build_backend(struct building *b)
{
    struct import *im = &b->h->im;
    struct setting *s = option(b, "backend");
    struct node *to = outline_list(b->action, "to");
    const char *host = "", *port = "", *ignored;
    if (s == NULL) {
        outline_add(to, "127.0.0.1:8000");
    } else if (*s->value == '/') {
        outline_add(to, pool_printf(&im->pool, "unix:%s", s->value));
    } else {
        if (split(b->h, s, &host, &port, &ignored) < 0)
            return -1;
        const char *number = door_port(im, b->route, s, port);
        if (number == NULL)
            return unknown_port(b->h, s, port);
        outline_add(to, door_address(im, host, number));
    }
    return 0;
}

/* ---- What the backend is told ---- */

/* What a PROXY header of version 2 says beside the addresses. */
static void build_tlvs(struct building *b, struct node *told, bool v2, bool some, bool certificate)
{
    static const char *const all[] = {"alpn", "authority", "unique_id", "ssl", "certificate"};
    if (!v2 || (some && !certificate))
        return;
    struct node *tlvs = outline_list(told, "tlvs");
    for (size_t i = 0; i < ARRAY_LEN(all) && certificate; i++)
        outline_add(tlvs, all[i]);
    if (certificate)
        setting_remark(&b->h->im, b->route, option(b, "proxy-client-cert"), FATE_DIFFERS,
                       "the certificate comes in DER, in the PROXY protocol's own field (0x28), not in 0xe0");
    else
        outline_add(tlvs, "none");
}

static int build_proxy(struct building *b)
{
    bool v1, v2, ip, through, old, certificate, tlv;
    if (on_off(b, "write-proxy-v1", false, &v1) < 0 || on_off(b, "write-proxy-v2", false, &v2) < 0 ||
        on_off(b, "write-proxy", false, &old) < 0 || on_off(b, "proxy-proxy", false, &through) < 0 ||
        on_off(b, "write-ip", false, &ip) < 0 || on_off(b, "proxy-tlv", true, &tlv) < 0 ||
        on_off(b, "proxy-client-cert", false, &certificate) < 0)
        return -1;
    if (ip)
        setting_remark(&b->h->im, b->route, option(b, "write-ip"), FATE_MISSING,
                       "a backend that reads a PROXY header learns the address: 'hand_on: {proxy: v2}'");
    if (v1 || v2 || old || through)
        build_tlvs(b, door_proxy(b->route, v1 ? "v1" : "v2"), v2 || old, tlv, certificate);
    return 0;
}

static int build_proxy_listener(struct building *b, struct node *listener)
{
    bool through;
    if (on_off(b, "proxy-proxy", false, &through) < 0)
        return -1;
    if (!through)
        return 0;
    struct node *from = outline_list(outline_map(listener, "proxy_protocol"), "from");
    outline_add(from, "0.0.0.0/0");
    outline_add(from, "::/0");
    setting_remark(
        &b->h->im, listener, option(b, "proxy-proxy"), FATE_DIFFERS,
        "name those in 'from' who may say who the client is; as it stands everybody can, as in hitch");
    return 0;
}

/* ---- Certificates ---- */

/* Of several certificates hitch shows the last where none has the name; cardea the first. */
static void add_pems(struct building *b, const struct hitch_pem *pem, struct node *labels)
{
    if (pem == NULL)
        return;
    add_pems(b, pem->next, labels);
    const char *key = setting_value(&pem->scope, "private-key", pem->file->value);
    outline_add(labels, door_certificate(&b->h->im, b->stem, pem->file->value, key));
    setting_judge(&b->h->im, b->route, &pem->scope);
}

static void add_directory(struct building *b, struct node *labels)
{
    struct setting *directory = option(b, "pem-dir"), *glob = option(b, "pem-dir-glob");
    struct node *files = outline_list(outline_new(&b->h->im.pool), "files");
    if (directory == NULL)
        return;
    if (door_directory(&b->h->im, directory->value, glob != NULL ? glob->value : "*", files) < 0 ||
        files->first == NULL)
        setting_remark(&b->h->im, b->route, directory, FATE_MISSING,
                       "there is no file in it that could be named: write each as a row of 'certificates'");
    for (const struct node *n = files->first; n != NULL; n = n->next)
        outline_add(labels, door_certificate(&b->h->im, b->stem, n->text, n->text));
}

static int build_certificates(struct building *b, const char *pem)
{
    struct import *im = &b->h->im;
    struct node *labels = outline_list(b->route, "certificates");
    bool global;
    if (on_off(b, "match-global-certs", false, &global) < 0)
        return -1;
    if (pem != NULL)
        outline_add(labels, door_certificate(im, b->stem, pem, pem));
    if (b->f != NULL)
        add_pems(b, b->f->own.pems, labels);
    if (labels->first == NULL || global)
        add_pems(b, b->h->global.pems, labels);
    add_directory(b, labels);
    if (labels->first == NULL) {
        outline_remark(labels,
                       "hitch gets its certificate on its command line: write its path in 'certificates'.");
        outline_add(labels, door_certificate(im, b->stem, "hitch.pem", "hitch.pem"));
    }
    return 0;
}

/* ---- TLS ---- */

static int build_versions(struct building *b, struct node *tls)
{
    static const char *const low[] = {"SSLv3", "TLSv1.0", "TLSv1.1"};
    struct setting *s = option(b, "tls-protos"), *old[] = {option(b, "ssl"), option(b, "tls")};
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        if (old[i] != NULL)
            setting_remark(&b->h->im, b->route, old[i], FATE_DIFFERS, "cardea speaks TLS 1.2 and 1.3");
    if (s == NULL)
        return 0;
    bool has12 = strcasestr(s->value, "TLSv1.2") != NULL, has13 = strcasestr(s->value, "TLSv1.3") != NULL;
    for (size_t i = 0; i < ARRAY_LEN(low); i++)
        if (strcasestr(s->value, low[i]) != NULL)
            setting_remark(&b->h->im, b->route, s, FATE_DIFFERS,
                           "TLS 1.2 is the lowest version that cardea has");
    if (has13 && !has12)
        outline_set(tls, "min_version", "1.3");
    if (has12 && !has13)
        outline_set(tls, "max_version", "1.2");
    return has12 || has13 || s->said != NULL
               ? 0
               : import_fail(&b->h->im, s->at, "found '%s' for 'tls-protos', expected TLSv1.2 and the like",
                             s->value);
}

static int build_clients(struct building *b)
{
    struct import *im = &b->h->im;
    struct setting *verify = option(b, "client-verify"), *ca = option(b, "client-verify-ca");
    struct node *files = outline_new(&im->pool);
    if (verify == NULL || strcmp(verify->value, "none") == 0)
        return 0;
    if (strcmp(verify->value, "required") != 0 && strcmp(verify->value, "optional") != 0)
        return import_fail(im, verify->at,
                           "found '%s' for 'client-verify', expected none, optional or required",
                           verify->value);
    if (ca == NULL)
        return import_fail(im, verify->at,
                           "found 'client-verify' without 'client-verify-ca', expected who issues "
                           "the certificates of clients");
    outline_add(outline_list(files, "ca"), ca->value);
    door_clients(b->route, verify->value,
                 door_trust(im, "clients", outline_list(files, "ca"), outline_list(files, "crl")));
    door_allow(im, b->route, NULL, NULL);
    return 0;
}

static int build_tls(struct building *b)
{
    struct node *tls = outline_map(b->route, "tls");
    struct setting *curves = option(b, "ecdh-curve"), *alpn = option(b, "alpn-protos");
    bool abort;
    if (build_versions(b, tls) < 0 || build_clients(b) < 0 ||
        on_off(b, "sni-nomatch-abort", false, &abort) < 0)
        return -1;
    if (curves != NULL && strcmp(curves->value, "auto") != 0)
        door_groups(&b->h->im, b->route, tls, curves);
    for (const char *p = alpn == NULL ? "" : alpn->value; *p != '\0';) {
        size_t len = strcspn(p, ", ");
        if (len > 0)
            outline_add(outline_list(b->action, "alpn"), pool_copy(&b->h->im.pool, p, len));
        p += len + strspn(p + len, ", ");
    }
    if (abort)
        setting_remark(
            &b->h->im, b->route, option(b, "sni-nomatch-abort"), FATE_MISSING,
            "name in 'sni' of this route what its certificates are for, and add a route for the same "
            "listener without 'sni' and with 'reject: unrecognized_name'");
    return 0;
}

static int build_frontend(struct hitch *h, struct hitch_frontend *f)
{
    struct building b = {.h = h, .f = f, .stem = "tls-8443"};
    const char *address = "*:8443", *pem = NULL;
    if (f != NULL && find_listen(&b, f, &address, &pem) < 0)
        return -1;
    struct node *listener = door_listener(&h->im, b.stem, address);
    b.route = door_route(&h->im, b.stem, outline_get(listener, "name"));
    b.action = outline_map(b.route, "terminate");
    if (f != NULL)
        outline_move_remarks(b.route, f->remarks);
    if (build_backend(&b) < 0 || build_proxy(&b) < 0 || build_proxy_listener(&b, listener) < 0 ||
        build_certificates(&b, pem) < 0 || build_tls(&b) < 0)
        return -1;
    if (f != NULL)
        setting_judge(&h->im, b.route, &f->own.scope);
    return 0;
}

int hitch_build(struct hitch *h)
{
    struct setting *workers = setting_find(&h->global.scope, "workers");
    unsigned long n = 0;
    if (h->first == NULL && build_frontend(h, NULL) < 0)
        return -1;
    for (struct hitch_frontend *f = h->first; f != NULL; f = f->next)
        if (build_frontend(h, f) < 0)
            return -1;
    if (workers != NULL && setting_number(&h->im, workers, 256, &n) < 0)
        return -1;
    if (workers != NULL)
        outline_set(h->im.root, "workers", workers->value);
    setting_judge(&h->im, h->im.root, &h->global.scope);
    outline_set(h->im.limits, "idle_timeout", "0");
    outline_remark(outline_find(h->im.limits, "idle_timeout"), "As in hitch, which ends no idle connection.");
    return 0;
}

int import_hitch(const char *path, const struct import_files *files, struct import_result *ret,
                 struct err *err)
{
    struct hitch h = {0};
    import_begin(&h.im, files, rows, ARRAY_LEN(rows), err);
    int rc = hitch_read(&h, path);
    if (rc == 0)
        rc = hitch_build(&h);
    return import_end(&h.im, rc, "hitch", path, ret);
}
