/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS of a service. stunnel believes everybody unless it is told to verify; cardea believes nobody unless
 * it is told to. */
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "import/door.h"
#include "import/stunnel.h"

#define SYSTEM_CA_DIRECTORY "/etc/ssl/certs"

/* What a service verifies of its peer. */
struct verify {
    bool chain;         /* by a CA */
    bool peer;          /* the very certificate is known */
    bool require;       /* nobody without one */
    struct setting *by; /* the setting that says so, or NULL */
};

static int find_verify(struct stunnel *st, const struct stunnel_service *svc, struct verify *ret)
{
    struct setting *level = stunnel_option(st, svc, "verify");
    unsigned long n = 0;
    *ret = (struct verify){.by = level};
    if (level != NULL && strcmp(level->value, "default") != 0 && setting_number(&st->im, level, 4, &n) < 0)
        return -1;
    if (stunnel_bool(st, svc, "verifyChain", n >= 1 && n <= 3, &ret->chain) < 0 ||
        stunnel_bool(st, svc, "verifyPeer", n >= 3, &ret->peer) < 0 ||
        stunnel_bool(st, svc, "requireCert", n >= 2, &ret->require) < 0)
        return -1;
    struct setting *chain = stunnel_option(st, svc, "verifyChain"),
                   *peer = stunnel_option(st, svc, "verifyPeer");
    ret->require |= (chain != NULL && ret->chain) || (peer != NULL && ret->peer);
    ret->by = ret->peer && peer != NULL ? peer : ret->chain && chain != NULL ? chain : level;
    return 0;
}

/* ---- Files ---- */

/* The PEM file that cardea reads for this one. */
static const char *pem(struct stunnel *st, struct stunnel_service *svc, struct setting *s)
{
    if (strncmp(s->value, "pkcs11:", 7) == 0)
        setting_remark(&st->im, svc->route, s, FATE_MISSING, "no PKCS#11; it has to be a PEM file");
    return door_pem(&st->im, svc->route, s);
}

/* The files of a directory that is inside chroot, with names as `glob`. */
static void add_directory(struct stunnel *st, struct stunnel_service *svc, struct setting *s,
                          const char *glob, struct node *list)
{
    const char *directory =
        pool_printf(&st->im.pool, "%s%s", setting_value(&st->global, "chroot", ""), s->value);
    if (door_directory(&st->im, directory, glob, list) == 0 && list->first != NULL)
        return;
    setting_remark(
        &st->im, svc->route, s, FATE_DIFFERS,
        "cardea reads files, and there is none called %s to name: put what is in the directory into "
        "one file",
        glob);
    outline_add(list, pool_printf(&st->im.pool, "%s/all.pem", directory));
}

/* The name of the bundle; "system" where that is allowed and meant. NULL with im.err. */
static const char *find_trust(struct stunnel *st, struct stunnel_service *svc, bool system)
{
    struct setting *file = stunnel_option(st, svc, "CAfile"), *path = stunnel_option(st, svc, "CApath");
    struct setting *crl = stunnel_option(st, svc, "CRLfile"), *crls = stunnel_option(st, svc, "CRLpath");
    struct node *lists = outline_new(&st->im.pool);
    struct node *ca = outline_list(lists, "ca"), *revoked = outline_list(lists, "crl");
    bool by_system = path != NULL && strcmp(path->value, SYSTEM_CA_DIRECTORY) == 0;
    if (by_system && file == NULL && crl == NULL && crls == NULL && system)
        return "system";
    if (file != NULL)
        outline_add(ca, file->value);
    if (by_system)
        outline_add(ca, DOOR_SYSTEM_CA);
    else if (path != NULL)
        add_directory(st, svc, path, "*.0", ca);
    if (crl != NULL)
        outline_add(revoked, crl->value);
    if (crls != NULL)
        add_directory(st, svc, crls, "*.r0", revoked);
    if (ca->first == NULL &&
        (stunnel_each(st, svc, NULL, "CAengine") || stunnel_each(st, svc, NULL, "CAstore")))
        outline_add(ca, pool_printf(&st->im.pool, "%s-ca.pem", svc->name));
    if (ca->first == NULL) {
        import_fail(&st->im, svc->at,
                    "found service [%s] that verifies its peer by no CA, expected 'CAfile' or "
                    "'CApath'",
                    svc->name);
        return NULL;
    }
    return door_trust(&st->im, svc->name, ca, revoked);
}

/* ---- Versions, groups, tickets ---- */

static int build_version(struct stunnel *st, struct stunnel_service *svc, struct node *tls, struct setting *s,
                         const char *key)
{
    static const struct {
        const char *name, *version; /* NULL: lower than what cardea has */
    } versions[] = {{"TLSv1.3", "1.3"}, {"TLSv1.2", "1.2"}, {"TLSv1.1", NULL},
                    {"TLSv1", NULL},    {"SSLv3", NULL},    {"SSLv2", NULL}};
    bool min = strcmp(key, "min_version") == 0;
    if (s == NULL || strcasecmp(s->value, "all") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        if (strcasecmp(versions[i].name, s->value) != 0)
            continue;
        if (versions[i].version != NULL)
            outline_set(tls, key, versions[i].version);
        else
            setting_remark(&st->im, svc->route, s, min ? FATE_DIFFERS : FATE_MISSING,
                           min ? "TLS 1.2 is the lowest version that cardea has"
                               : "TLS 1.2 is the lowest version that cardea has, and is not kept out");
        return 0;
    }
    return import_fail(&st->im, s->at, "found '%s' for '%s', expected all, TLSv1.2 or another version",
                       s->value, s->row->name);
}

static void build_ssl_option(struct stunnel *st, struct stunnel_service *svc, struct node *tls,
                             struct setting *s)
{
    static const char *const anyway[] = {"NO_SSLv2",
                                         "NO_SSLv3",
                                         "NO_TLSv1",
                                         "NO_TLSv1_1",
                                         "NO_TLSv1.1",
                                         "NO_COMPRESSION",
                                         "NO_RENEGOTIATION",
                                         "SINGLE_DH_USE",
                                         "SINGLE_ECDH_USE",
                                         "CIPHER_SERVER_PREFERENCE",
                                         "PRIORITIZE_CHACHA",
                                         "DONT_INSERT_EMPTY_FRAGMENTS",
                                         "ENABLE_MIDDLEBOX_COMPAT"};
    bool server = outline_find(svc->route, "terminate") != NULL;
    for (size_t i = 0; i < ARRAY_LEN(anyway); i++)
        if (strcasecmp(anyway[i], s->value) == 0) {
            setting_remark(&st->im, svc->route, s, FATE_NEEDLESS, "cardea is like this");
            return;
        }
    if (strcasecmp(s->value, "NO_TLSv1_2") == 0)
        outline_set(tls, "min_version", "1.3");
    else if (strcasecmp(s->value, "NO_TLSv1_3") == 0)
        outline_set(tls, "max_version", "1.2");
    else if (strcasecmp(s->value, "NO_TICKET") == 0 && server)
        outline_flag(tls, "tickets", false);
    else
        setting_remark(&st->im, svc->route, s, FATE_MISSING, "no such switch; what is on is safe by default");
}

static int build_versions(struct stunnel *st, struct stunnel_service *svc, struct node *tls)
{
    struct setting *both = stunnel_option(st, svc, "sslVersion"), *curves = stunnel_option(st, svc, "curves");
    struct setting *s = NULL;
    if (build_version(st, svc, tls, both, "min_version") < 0 ||
        build_version(st, svc, tls, both, "max_version") < 0 ||
        build_version(st, svc, tls, stunnel_option(st, svc, "sslVersionMin"), "min_version") < 0 ||
        build_version(st, svc, tls, stunnel_option(st, svc, "sslVersionMax"), "max_version") < 0)
        return -1;
    if (curves != NULL)
        door_groups(&st->im, svc->route, tls, curves);
    while ((s = stunnel_each(st, svc, s, "options")) != NULL)
        build_ssl_option(st, svc, tls, s);
    return 0;
}

static int build_tickets(struct stunnel *st, struct stunnel_service *svc, struct node *tls)
{
    struct setting *life = stunnel_option(st, svc, "sessionCacheTimeout");
    unsigned long seconds;
    bool resume;
    if (stunnel_bool(st, svc, "sessionResume", true, &resume) < 0)
        return -1;
    if (!resume)
        outline_flag(tls, "tickets", false);
    if (life == NULL)
        return 0;
    if (setting_number(&st->im, life, 7 * 86400, &seconds) < 0)
        return -1;
    if (seconds > 0)
        outline_set(tls, "ticket_lifetime", pool_printf(&st->im.pool, "%lus", seconds));
    return 0;
}

/* ---- Server ---- */

/* Rows for those whose certificates stunnel would have let in. `known`: those with the very certificates that
 * it had been given; a row for everybody of their CA would let in more, so there is none. */
static void build_policy(struct stunnel *st, struct stunnel_service *svc, bool known)
{
    static const struct {
        const char *option, *key;
    } checks[] = {{"checkHost", "dns"}, {"checkEmail", "email"}};
    struct setting *ip = NULL, *s;
    bool any = !known;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct node *values = outline_list(outline_new(&st->im.pool), "values");
        for (s = NULL; (s = stunnel_each(st, svc, s, checks[i].option)) != NULL;) {
            outline_add(values, s->value);
            setting_remark(
                &st->im, svc->route, s, FATE_DIFFERS,
                "it has to be a subject alternative name; the common name is no name of a host or mailbox");
        }
        if (values->first != NULL)
            door_allow(&st->im, svc->route, checks[i].key, values);
        any = any && values->first == NULL;
    }
    while ((ip = stunnel_each(st, svc, ip, "checkIP")) != NULL) {
        setting_remark(
            &st->im, svc->route, ip, FATE_MISSING,
            "policy knows no IP addresses of certificates, so nobody is allowed by this: write a row for "
            "a name");
        any = false;
    }
    if (any)
        door_allow(&st->im, svc->route, NULL, NULL);
}

static int build_clients(struct stunnel *st, struct stunnel_service *svc)
{
    struct verify v;
    struct setting *require = stunnel_option(st, svc, "requireCert");
    if (find_verify(st, svc, &v) < 0)
        return -1;
    if (!v.chain && !v.peer) {
        if (v.by != NULL || v.require)
            setting_remark(&st->im, svc->route, v.by != NULL ? v.by : require, FATE_DIFFERS,
                           "a certificate that nobody verifies proves nothing, so none is asked for");
        return 0;
    }
    const char *trust = find_trust(st, svc, false);
    if (trust == NULL)
        return -1;
    door_clients(svc->route, v.require ? "required" : "optional", trust);
    if (v.peer)
        setting_remark(
            &st->im, svc->route, v.by, FATE_MISSING,
            "clients are known by what a CA says of them, not by their very certificate: 'ca' of bundle "
            "'%s' has to be that CA, and rows of 'policy' name those who may come; whom none names stays "
            "out",
            trust);
    build_policy(st, svc, v.peer);
    return 0;
}

int stunnel_server_tls(struct stunnel *st, struct stunnel_service *svc)
{
    struct setting *cert = stunnel_option(st, svc, "cert"), *key = stunnel_option(st, svc, "key");
    if (cert == NULL)
        return import_fail(&st->im, svc->at,
                           "found service [%s] without 'cert', expected the certificate of a server",
                           svc->name);
    const char *certificate = pem(st, svc, cert);
    const char *label =
        door_certificate(&st->im, svc->name, certificate, key != NULL ? pem(st, svc, key) : certificate);
    outline_add(outline_list(svc->route, "certificates"), label);
    struct node *tls = outline_map(svc->route, "tls");
    return build_versions(st, svc, tls) < 0 || build_tickets(st, svc, tls) < 0 ? -1 : build_clients(st, svc);
}

/* ---- Client ---- */

/* What the server's certificate must name. */
static void build_expected_name(struct stunnel *st, struct stunnel_service *svc, struct node *tls,
                                bool verified)
{
    struct setting *sni = stunnel_option(st, svc, "sni"), *host = stunnel_each(st, svc, NULL, "checkHost");
    struct setting *ip = stunnel_each(st, svc, NULL, "checkIP"), *more = NULL;
    const struct setting *name = host != NULL ? host : ip != NULL ? ip : sni;
    if (name != NULL && *name->value != '\0')
        outline_set(tls, "name", name->value);
    if (sni != NULL && *sni->value == '\0')
        setting_remark(&st->im, svc->route, sni, FATE_MISSING,
                       "the server name is always sent where there is one");
    else if (sni != NULL && name != sni && strcasecmp(sni->value, name->value) != 0)
        setting_remark(&st->im, svc->route, sni, FATE_MISSING,
                       "the name that is sent is the one that the certificate must have");
    if (host != NULL)
        for (more = host; (more = stunnel_each(st, svc, more, "checkHost")) != NULL;)
            setting_remark(&st->im, svc->route, more, FATE_MISSING, "only the first name is accepted");
    if (host != NULL && ip != NULL)
        setting_remark(&st->im, svc->route, ip, FATE_MISSING, "only the name is accepted");
    for (more = NULL; (more = stunnel_each(st, svc, more, "checkEmail")) != NULL;)
        setting_remark(&st->im, svc->route, more, FATE_MISSING, "a server is known by its name");
    if (verified && host == NULL && ip == NULL)
        outline_remark(
            tls, "Stricter than stunnel, which took any certificate of the CA: it has to be for the host of "
                 "'to', or for 'name'.");
}

/* The very certificates that stunnel has been given, by the pins of their keys. False, with a remark, when
 * none could be read: then their CA has to vouch for them. */
static bool build_pins(struct stunnel *st, struct stunnel_service *svc, struct node *tls, struct setting *by)
{
    struct setting *file = stunnel_option(st, svc, "CAfile"), *path = stunnel_option(st, svc, "CApath");
    struct node *files = outline_list(outline_new(&st->im.pool), "files"), *pins = outline_list(tls, "pin");
    if (file != NULL)
        outline_add(files, file->value);
    if (path != NULL)
        add_directory(st, svc, path, "*.0", files);
    for (const struct node *n = files->first; n != NULL; n = n->next)
        door_pins(&st->im, n->text, pins);
    setting_remark(
        &st->im, svc->route, by, FATE_DIFFERS, "%s",
        pins->first != NULL
            ? "'pin' holds the keys of the certificates that are there now: a new certificate with the same "
              "key is good too"
            : "no certificate could be read there, so its CA has to vouch for it; 'pin' takes the key of the "
              "very certificate: openssl x509 -in CERT -noout -pubkey | openssl pkey -pubin -outform DER | "
              "openssl dgst -sha256 -binary | base64");
    return pins->first != NULL;
}

static int build_verify(struct stunnel *st, struct stunnel_service *svc, struct node *tls)
{
    struct verify v;
    if (find_verify(st, svc, &v) < 0)
        return -1;
    build_expected_name(st, svc, tls, v.chain);
    if (!v.chain && !v.peer) {
        outline_set(tls, "verify", "any");
        outline_remark(
            outline_find(tls, "verify"),
            "stunnel verifies nobody unless it is told to, and so does this: whoever sits in between reads "
            "and changes everything. Remove it, and set 'trust' where the server's CA is not one of the "
            "system's.");
        return 0;
    }
    bool pinned = v.peer && build_pins(st, svc, tls, v.by);
    if (pinned && !v.chain)
        return 0;
    const char *trust = find_trust(st, svc, true);
    if (trust != NULL)
        outline_set(tls, "trust", trust);
    return trust == NULL ? -1 : 0;
}

int stunnel_client_tls(struct stunnel *st, struct stunnel_service *svc, struct node *forward)
{
    struct setting *cert = stunnel_option(st, svc, "cert"), *key = stunnel_option(st, svc, "key");
    struct setting *life = stunnel_option(st, svc, "sessionCacheTimeout");
    struct node *tls = outline_map(forward, "tls");
    bool resume;
    if (cert != NULL) {
        const char *certificate = pem(st, svc, cert);
        outline_set(tls, "certificate", certificate);
        outline_set(tls, "key", key != NULL ? pem(st, svc, key) : certificate);
    }
    if (stunnel_bool(st, svc, "sessionResume", true, &resume) < 0)
        return -1;
    if (!resume)
        outline_flag(tls, "resume", false);
    if (life != NULL)
        setting_remark(&st->im, svc->route, life, FATE_NEEDLESS,
                       "a session is good as long as the server says");
    return build_versions(st, svc, tls) < 0 ? -1 : build_verify(st, svc, tls);
}
