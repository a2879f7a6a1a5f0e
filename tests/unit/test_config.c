/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: good and broken files of tests/config, what a file becomes, and the manual page.
 * CARDEA_UPDATE_GOLDEN=1 writes the expected errors and the page's keys anew instead of comparing them. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "config/config.h"
#include "tls/groups.h"

#define FILES "tests/config/"
#define PAGE "doc/man/cardea.yaml.5"

static bool updating(void)
{
    return getenv("CARDEA_UPDATE_GOLDEN") != NULL;
}

static char *slurp(const char *path, struct buf *b)
{
    struct err err;
    if (file_read(path, 1 << 24, b, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return buf_text(b);
}

static void spew(const char *path, const char *text, size_t len)
{
    struct err err;
    if (file_write_atomic(path, 0644, text, len, &err) < 0)
        fail_msg("%s", err.text);
}

/* Run `each` on the .yaml files of a folder; returns how many there were. */
static unsigned each_file(const char *folder, void (*each)(const char *path, const char *name))
{
    unsigned n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[512];
        if (!str_glob("*.yaml", e->d_name))
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        each(path, e->d_name);
        n++;
    }
    closedir(dir);
    return n;
}

/* Under its own name without folders, as in its .expected file. */
static struct config *parse_file(const char *path, const char *name, struct buf *errors)
{
    struct buf text = {0};
    slurp(path, &text);
    struct config *c = config_parse(name, text.data, text.len, errors);
    buf_free(&text);
    return c;
}

static void check_good(const char *path, const char *name)
{
    struct buf errors = {0};
    struct config *c = parse_file(path, name, &errors);
    if (c == NULL)
        fail_msg("%s", buf_text(&errors));
    assert_int_equal(errors.len, 0);
    assert_string_equal(c->file, name);
    config_free(c);
    buf_free(&errors);
}

static void test_good(void **state)
{
    (void)state;
    assert_true(each_file(FILES "good", check_good) >= 4);
}

static void check_broken(const char *path, const char *name)
{
    char expected_path[512];
    struct buf errors = {0}, expected = {0};
    struct config *c = parse_file(path, name, &errors);
    assert_null(c);
    assert_true(errors.len > 0);
    snprintf(expected_path, sizeof(expected_path), "%.*s.expected", (int)strlen(path) - 5, path);
    if (updating())
        spew(expected_path, buf_text(&errors), errors.len);
    assert_string_equal(buf_text(&errors), slurp(expected_path, &expected));
    buf_free(&errors);
    buf_free(&expected);
    /* Whoever does not want the texts need not take them. */
    assert_null(parse_file(path, name, NULL));
}

static void test_broken(void **state)
{
    (void)state;
    assert_true(each_file(FILES "broken", check_broken) >= 40);
}

static struct config *load_good(const char *path)
{
    struct buf errors = {0};
    struct config *c = config_load(path, &errors);
    if (c == NULL)
        fail_msg("%s", buf_text(&errors));
    return c;
}

static struct config *everything(void)
{
    return load_good(FILES "good/everything.yaml");
}

static void test_values(void **state)
{
    (void)state;
    struct config *c = everything();
    assert_int_equal(c->workers, 2);
    assert_int_equal(c->listeners.n, 2);
    assert_string_equal(c->listeners.v[0].name.text, "main");
    assert_string_equal(c->listeners.v[0].address.host, "::");
    assert_int_equal(c->listeners.v[0].address.port, 443);
    const struct config_networks *from = &c->listeners.v[0].proxy_protocol->from;
    assert_int_equal(from->n, 2);
    assert_int_equal(from->v[0].family, AF_INET);
    assert_int_equal(from->v[0].prefix, 8);
    assert_int_equal(from->v[0].addr[0], 10);
    assert_int_equal(from->v[1].prefix, 128);
    assert_string_equal(c->listeners.v[1].name.text, "*:8443");
    assert_string_equal(c->listeners.v[1].address.host, "");
    assert_null(c->listeners.v[1].proxy_protocol);
    assert_string_equal(c->certificates.v[0].certificate.text, FILES "good/door.pem");
    assert_string_equal(c->certificates.v[1].certificate.text, "/etc/cardea/app.pem");
    assert_string_equal(c->certificates.v[1].names.v[0].text, "app.example.com");
    assert_int_equal(c->trust.v[1].ca.n, 1);
    assert_int_equal(c->limits.hello_size, 16 * 1024);
    assert_true(c->limits.idle_timeout == 2 * 3600 * NSEC_PER_SEC);
    assert_true(c->limits.total_timeout == 24 * 3600 * NSEC_PER_SEC);
    assert_string_equal(c->audit.file.text, FILES "good/audit.jsonl");
    assert_string_equal(c->admin.socket.text, FILES "good/cardea.sock");
    assert_int_equal(c->admin.metrics.port, 9100);
    config_free(c);
}

/* The words of exec:, one after the other with a '|' between them. */
static const char *words_of(const struct config_address *a)
{
    static char text[256];
    size_t n = 0;
    assert_int_equal(a->place, CONFIG_AT_PROGRAM);
    text[0] = '\0';
    for (size_t i = 0; a->program[i] != NULL; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? "|" : "", a->program[i]);
    return text;
}

/* Where connections come from and go to, beside IP addresses. */
static void test_endpoints(void **state)
{
    static const char text[] =
        "listeners:\n"
        "- {address: 'unix:door.sock', mode: 0666, proxy_protocol: {from: [unix]}}\n"
        "- {address: 'unix:/run/door.sock', name: run}\n"
        "- {address: 'systemd:web'}\n"
        "routes:\n"
        "- name: all\n"
        "  pass:\n"
        "    to:\n"
        "    - exec:/bin/cat\n"
        "    - 'exec:  /usr/bin/env   A=\"b c\" ''d  \"e'' f\\ g \"h\\\"\\\\i\" \"\"  '\n"
        "    - \"exec:./serve \\t 'back\\\\slash' x'y'\\\"z\\\"\"\n"
        "    - unix:app.sock\n";
    struct buf errors = {0};
    (void)state;
    struct config *c = config_parse("etc/door.yaml", text, strlen(text), &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_non_null(c);
    const struct config_listener *l = c->listeners.v;
    assert_int_equal(l[0].address.place, CONFIG_AT_UNIX);
    assert_string_equal(l[0].address.path, "etc/door.sock");
    assert_string_equal(l[0].name.text, "unix:etc/door.sock");
    assert_int_equal(l[0].mode, 0666);
    assert_int_equal(l[0].proxy_protocol->from.v[0].family, AF_UNIX);
    assert_string_equal(l[1].address.path, "/run/door.sock");
    assert_int_equal(l[1].mode, 0);
    assert_int_equal(l[2].address.place, CONFIG_AT_SYSTEMD);
    assert_string_equal(l[2].address.name, "web");
    const struct config_address *to = c->routes.v[0].pass->to.v;
    assert_string_equal(words_of(&to[0]), "/bin/cat");
    assert_string_equal(words_of(&to[1]), "/usr/bin/env|A=b c|d  \"e|f g|h\"\\i|");
    assert_string_equal(words_of(&to[2]), "etc/./serve|back\\slash|xyz");
    assert_string_equal(to[3].path, "etc/app.sock");
    assert_string_equal(to[3].text.text, "unix:etc/app.sock");
    config_free(c);
    buf_free(&errors);
}

static const struct config_route *route(const struct config *c, const char *name)
{
    const struct config_route *r = config_route_find(c, name);
    assert_non_null(r);
    return r;
}

static void test_routes(void **state)
{
    (void)state;
    struct config *c = everything();
    const struct config_route *r = route(c, "web");
    assert_int_equal(r->action, CONFIG_PASS);
    assert_string_equal(r->sni.v[0].text, "www.example.com");
    assert_string_equal(r->sni_file.text, FILES "good/names.txt");
    assert_int_equal(r->hand_on.proxy, CONFIG_SEND_PROXY_V2);
    assert_int_equal(r->hand_on.tlvs.n, 3);
    assert_int_equal(r->hand_on.user, CONFIG_USER_EMAIL);
    assert_string_equal(r->hand_on.user_pattern.text, "*@example.com");
    assert_false(r->hand_on.headers);
    assert_true(r->pass->health->timeout == 500 * NSEC_PER_MSEC);
    assert_int_equal(r->clients.mode, CONFIG_CLIENTS_NONE);
    r = route(c, "db");
    assert_int_equal(r->first_bytes.v[0], CONFIG_FIRST_POSTGRESQL);
    assert_string_equal(r->terminate->alpn.v[0].text, "postgresql");
    assert_string_equal(r->terminate->tls->trust.text, CONFIG_TRUST_SYSTEM);
    assert_null(r->terminate->tls->name.text);
    assert_null(r->terminate->health);
    r = route(c, "intranet"); /* what heads are written into is all that is agreed on */
    assert_true(r->hand_on.headers && r->hand_on.chain);
    assert_int_equal(r->terminate->alpn.n, 1);
    assert_string_equal(r->terminate->alpn.v[0].text, "http/1.1");
    assert_int_equal(r->hand_on.proxy, CONFIG_SEND_PROXY_NONE);
    r = route(c, "nobody");
    assert_int_equal(r->action, CONFIG_REJECT);
    assert_string_equal(config_alert_name(r->reject), "unrecognized_name");
    assert_int_equal(route(c, "connect")->alpn.n, 2);
    assert_null(config_route_find(c, "none"));
    assert_non_null(config_trust_find(c, "inside"));
    assert_null(config_trust_find(c, "system"));
    config_free(c);
}

/* Who vouches for a backend depends on what else is asked of it. */
static void test_backend_tls(void **state)
{
    (void)state;
    struct config *c = load_good(FILES "good/backends.yaml");
    const struct config_backend_tls *t = route(c, "pinned")->terminate->tls;
    assert_null(t->trust.text);
    assert_int_equal(t->pin.n, 2);
    for (int i = 0; i < CONFIG_PIN_LEN; i++)
        assert_int_equal(t->pin.v[1][i], i);
    assert_int_equal(t->min_version, CONFIG_TLS_1_3);
    assert_int_equal(t->groups.n, 1);
    assert_false(t->resume);
    assert_int_equal(t->spares, 2);
    assert_true(t->spare_idle == 10 * NSEC_PER_SEC);
    t = route(c, "spiffe")->terminate->tls;
    assert_string_equal(t->uri.text, "spiffe://example.com/app/*");
    assert_string_equal(t->issuer.text, "Inside CA 2");
    assert_int_equal(t->groups.n, 6);
    assert_int_equal(t->pq, TLS_PQ_PREFER);
    assert_true(t->resume);
    assert_int_equal(t->spares, 0);
    assert_int_equal(t->verify, CONFIG_VERIFY_CHAIN);
    config_free(c);
}

/* What a route leaves out it has from the door, or from its own other keys. */
static void test_inherited(void **state)
{
    (void)state;
    struct config *c = everything();
    const struct config_route *r = route(c, "app");
    assert_int_equal(r->tls.min_version, CONFIG_TLS_1_3);
    assert_int_equal(r->tls.max_version, CONFIG_TLS_1_3);
    assert_int_equal(r->tls.groups.n, 1);
    assert_false(r->tls.tickets);
    assert_int_equal(r->limits.connections, 5000);
    assert_true(r->limits.idle_timeout == 600 * NSEC_PER_SEC);
    assert_int_equal(r->terminate->alpn.n, 1);
    assert_string_equal(r->terminate->alpn.v[0].text, "h2");
    assert_string_equal(r->terminate->to.v[2].path, "/run/app.sock");
    assert_null(r->terminate->to.v[2].host);
    assert_string_equal(r->terminate->to.v[3].path, FILES "good/app.sock");
    r = route(c, "tunnel");
    assert_int_equal(r->tls.head.set, 0);
    assert_int_equal(r->tls.groups.n, 4);
    assert_true(r->tls.tickets);
    assert_true(r->tls.ticket_lifetime == 6 * 3600 * NSEC_PER_SEC);
    assert_int_equal(r->limits.connections, 0);
    assert_true(r->limits.dial_timeout == 7 * NSEC_PER_SEC);
    assert_true(r->limits.total_timeout == 24 * 3600 * NSEC_PER_SEC);
    assert_int_equal(r->alpn.n, 1);
    assert_string_equal(r->alpn.v[0].text, "cardea/1");
    assert_string_equal(r->sni.v[0].text, "none");
    config_free(c);
}

static void test_policy(void **state)
{
    (void)state;
    struct config *c = everything();
    assert_int_equal(c->policy.n, 3);
    const struct config_policy_row *row = c->policy.v;
    assert_int_equal(row[0].effect, CONFIG_ALLOW);
    assert_string_equal(row[0].who.group.v[0].text, "ops");
    assert_string_equal(row[0].who.issuer.v[0].text, "Staff CA");
    assert_int_equal(row[0].targets.n, 4);
    assert_string_equal(row[0].targets.v[1].text, "db.inside:5432-5440");
    assert_int_equal(row[1].effect, CONFIG_DENY);
    assert_int_equal(row[1].routes.n, 0);
    assert_true(row[2].who.any);
    config_free(c);
}

static void test_defaults(void **state)
{
    (void)state;
    struct buf errors = {0};
    struct config *c = config_load(FILES "good/least.yaml", &errors);
    assert_non_null(c);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->tls.min_version, CONFIG_TLS_1_2);
    assert_int_equal(c->tls.max_version, CONFIG_TLS_1_3);
    assert_int_equal(c->tls.groups.n, TLS_GROUPS_DEFAULT);
    for (size_t i = 0; i < TLS_GROUPS_DEFAULT; i++)
        assert_int_equal(c->tls.groups.v[i], tls_groups_default[i]);
    assert_string_equal(config_group_name(c->tls.groups.v[0]), "X25519MLKEM768");
    assert_int_equal(c->tls.pq, TLS_PQ_PREFER);
    assert_true(c->tls.tickets);
    assert_true(c->tls.ticket_lifetime == 12 * 3600 * NSEC_PER_SEC);
    assert_int_equal(c->limits.connections, 100000);
    assert_int_equal(c->limits.per_source, 4096);
    assert_true(c->limits.hello_timeout == 10 * NSEC_PER_SEC);
    assert_true(c->limits.drain_timeout == 30 * NSEC_PER_SEC);
    assert_true(c->limits.total_timeout == 0);
    assert_int_equal(c->limits.hello_size, 65536);
    assert_int_equal(c->limits.reserved_fds, 64);
    assert_string_equal(c->audit.file.text, "-");
    assert_null(c->admin.socket.text);
    assert_null(c->admin.metrics.text.text);
    config_free(c);
}

static void test_positions(void **state)
{
    (void)state;
    struct config *c = everything();
    struct err err;
    const struct config_certificate *cert = &c->certificates.v[1];
    assert_int_equal(config_error(c, cert->key.at, &err, "no key in %s", cert->key.text), -1);
    assert_string_equal(err.text, FILES "good/everything.yaml:16:56: no key in " FILES "good/app.key");
    config_error(c, c->routes.v[1].head.at, &err, "x");
    assert_string_equal(err.text, FILES "good/everything.yaml:30:5: x");
    config_error(c, c->policy.v[0].targets.v[0].at, &err, "x");
    assert_string_equal(err.text, FILES "good/everything.yaml:69:15: x");
    config_error(c, (struct config_pos){0, 0}, &err, "x");
    assert_string_equal(err.text, FILES "good/everything.yaml: x");
    config_free(c);
}

static void test_no_file(void **state)
{
    (void)state;
    struct buf errors = {0};
    assert_null(config_load("no/such.yaml", &errors));
    assert_string_equal(buf_text(&errors), "no/such.yaml: No such file or directory\n");
    assert_null(config_load("no/such.yaml", NULL));
    buf_free(&errors);
}

/* Sizes that no file of tests/config should have. */
static void test_huge(void **state)
{
    (void)state;
    struct buf errors = {0};
    size_t len = (16 << 20) + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, ' ', len);
    assert_null(config_parse("x.yaml", text, len, &errors));
    assert_string_equal(buf_text(&errors), "x.yaml: larger than 16 MiB\n");
    buf_free(&errors);
    memset(text, '[', 1 << 20);
    assert_null(config_parse("x.yaml", text, 1 << 20, &errors));
    assert_string_equal(buf_text(&errors), "x.yaml:1:17: more than 16 levels deep\n");
    buf_free(&errors);
    for (size_t i = 0; i < 3 << 20; i++)
        text[i] = i < 4 ? "x: ["[i] : "a,"[i & 1];
    assert_null(config_parse("x.yaml", text, 3 << 20, &errors));
    assert_non_null(strstr(buf_text(&errors), "more than 1000000 values"));
    buf_free(&errors);
    free(text);
}

/* Ten thousand routes are read in well under a second, and names that occur twice are found among them. */
static void test_many_routes(void **state)
{
    (void)state;
    struct buf text = {0}, errors = {0};
    buf_printf(&text, "listeners: [{address: ':443'}]\nroutes:\n");
    for (unsigned i = 0; i < 10000; i++)
        buf_printf(&text, "  - {name: r%u, sni: h%u.example, pass: {to: 'b%u.inside:443'}}\n", i, i, i);
    struct config *c = config_parse("x.yaml", text.data, text.len, &errors);
    assert_non_null(c);
    assert_int_equal(c->routes.n, 10000);
    config_free(c);
    buf_printf(&text, "  - {name: r77, pass: {to: 'x:1'}}\n");
    assert_null(config_parse("x.yaml", text.data, text.len, &errors));
    assert_string_equal(
        buf_text(&errors),
        "x.yaml:10003:12: routes[10000].name: 'r77' is the name of routes[77] already (line 80)\n");
    buf_free(&text);
    buf_free(&errors);
}

static void test_client(void **state)
{
    (void)state;
    static const char good[] = "door: Door.example.com:443\ncert: me.pem\nkey: /k.pem\nca: "
                               "ca.pem\nservice_ca: s.pem\nname: d.example\n";
    struct buf errors = {0};
    struct client_config *c = client_config_parse("home/config.yaml", good, sizeof(good) - 1, &errors);
    assert_non_null(c);
    assert_string_equal(c->door.host, "door.example.com");
    assert_int_equal(c->door.port, 443);
    assert_string_equal(c->cert.text, "home/me.pem");
    assert_string_equal(c->key.text, "/k.pem");
    assert_string_equal(c->service_ca.text, "home/s.pem");
    assert_string_equal(c->name.text, "d.example");
    assert_true(c->share && c->transport == TRANSPORT_UNSAID && c->pq == TLS_PQ_UNSAID);
    client_config_free(c);
    static const char more[] = "share: false\ntransport: tcp\npq: off\n";
    c = client_config_parse("c.yaml", more, sizeof(more) - 1, &errors);
    assert_non_null(c);
    assert_true(!c->share && c->transport == TRANSPORT_TCP && c->pq == TLS_PQ_OFF);
    client_config_free(c);
    static const char bad[] = "door: example.com\ncret: me.pem\ntransport: udp\n";
    assert_null(client_config_parse("c.yaml", bad, sizeof(bad) - 1, &errors));
    assert_string_equal(
        buf_text(&errors),
        "c.yaml:2:1: cret: unknown key; did you mean 'cert'? (keys here: door, cert, key, ca, service_ca, "
        "name, "
        "transport, pq, ech, doh, doh_ca, doh_proxy, doh_configs, share)\n"
        "c.yaml:1:7: door: found 'example.com', expected HOST:PORT or [V6]:PORT: there is no :PORT "
        "after the host\n"
        "c.yaml:3:12: transport: found 'udp', expected one of auto, quic, tcp\n");
    buf_free(&errors);
    assert_null(client_config_load("no/such.yaml", &errors));
    buf_free(&errors);
}

static void test_expose(void **state)
{
    (void)state;
    static const char good[] =
        "door: d.example:443\ncert: a.pem\nkey: a.key\ntransport: quic\nservices:\n"
        "  - {name: App.example, to: 127.0.0.1:80}\n"
        "  - {name: g.example, to: \"unix:s.sock\", kind: end-to-end, proto: udp, port: 53,\n"
        "     proxy: v2, health: 5s, connections: 16, bandwidth: 4MiB, clients: ca.pem,\n"
        "     allow: [alice, group=ops]}\n";
    struct buf errors = {0};
    struct expose_config *c = expose_config_parse("home/e.yaml", good, sizeof(good) - 1, &errors);
    assert_non_null(c);
    assert_int_equal(c->services.n, 2);
    assert_int_equal(c->transport, TRANSPORT_QUIC);
    const struct config_service *s = c->services.v;
    assert_string_equal(s[0].name.text, "app.example");
    assert_int_equal(s[0].to.port, 80);
    assert_int_equal(s[0].connections, 256);
    assert_true(s[0].kind == 0 && s[0].port == 0 && s[0].bandwidth == 0 && s[0].health == 0 && !s[0].anyone);
    assert_string_equal(s[1].to.path, "home/s.sock");
    assert_int_equal(s[1].bandwidth, 4 * 1024 * 1024);
    assert_true(s[1].kind == 2 && s[1].proto == CONFIG_OFFER_UDP && s[1].proxy == CONFIG_SEND_PROXY_V2);
    assert_string_equal(s[1].clients.text, "home/ca.pem");
    assert_int_equal(s[1].allow.n, 2);
    expose_config_free(c);
    static const char bad[] =
        "door: d.example:443\nservices:\n  - {name: a, kind: open}\n  - {name: b, to: 8080}\n";
    assert_null(expose_config_parse("e.yaml", bad, sizeof(bad) - 1, &errors));
    assert_non_null(
        strstr(buf_text(&errors), "e.yaml:3:5: services[0].to: this key is required and missing"));
    assert_non_null(strstr(buf_text(&errors), "services[0].kind: found 'open'"));
    assert_non_null(strstr(buf_text(&errors), "e.yaml:4:19: services[1].to: found '8080'"));
    assert_non_null(strstr(buf_text(&errors), "; did you mean 127.0.0.1:8080?\n"));
    buf_free(&errors);
}

#define BEGIN ".\\\" Begin of what CARDEA_UPDATE_GOLDEN=1 test_config writes.\n"
#define END ".\\\" End of it.\n"

/* What troff takes for a macro that it does not know is not shown. */
static void each_line_is_text_or_a_macro(const char *page)
{
    static const char *const macros[] = {".Sh ", ".Ss ", ".Bl ", ".It ", ".El\n", ".br\n"};
    for (const char *line = page; *line != '\0'; line = strchr(line, '\n') + 1) {
        bool good = *line != '.' && *line != '\'';
        for (size_t i = 0; i < ARRAY_LEN(macros) && !good; i++)
            good = strncmp(line, macros[i], strlen(macros[i])) == 0;
        if (!good)
            fail_msg("%.60s", line);
    }
}

static void test_man(void **state)
{
    (void)state;
    struct buf page = {0}, keys = {0}, fresh = {0};
    char *text = slurp(PAGE, &page);
    assert_true(config_man(&keys));
    each_line_is_text_or_a_macro(buf_text(&keys));
    char *begin = strstr(text, BEGIN), *end = strstr(text, END);
    assert_true(begin != NULL && end != NULL && begin < end);
    begin += strlen(BEGIN);
    assert_true(buf_append(&fresh, text, (size_t)(begin - text)) && buf_append(&fresh, keys.data, keys.len) &&
                buf_printf(&fresh, "%s", end));
    if (updating())
        spew(PAGE, (char *)fresh.data, fresh.len);
    else
        assert_string_equal(buf_text(&fresh), text);
    buf_free(&page);
    buf_free(&keys);
    buf_free(&fresh);
}

/* A path may name a credential, whatever key it is for; `what` follows "key: " in the file of a client. */
static const char *key_of(const char *what, struct client_config **ret, struct buf *errors)
{
    static char text[512];
    snprintf(text, sizeof(text), "key: %s\n", what);
    *ret = client_config_parse("home/c.yaml", text, strlen(text), errors);
    return *ret == NULL ? buf_text(errors) : (*ret)->key.text;
}

static void test_secret(void **state)
{
    static const struct {
        const char *directory, *value, *expected;
    } rows[] = {
        {"/run/credentials/cardea.service", "credential:door.key",
         "/run/credentials/cardea.service/door.key"},
        {"/run/credentials/cardea.service", "./credential:door.key", "home/./credential:door.key"},
        {NULL, "credential:door.key",
         "home/c.yaml:1:6: key: found 'credential:door.key', but there are no credentials here: "
         "CREDENTIALS_DIRECTORY is not set. Start the door by a unit of systemd with "
         "LoadCredential=door.key:FILE, "
         "or set the variable to a folder that holds door.key\n"},
        {"here", "credential:door.key",
         "home/c.yaml:1:6: key: found 'credential:door.key', but there are no credentials here: "
         "CREDENTIALS_DIRECTORY is no absolute path. Start the door by a unit of systemd with "
         "LoadCredential=door.key:FILE, or set the variable to a folder that holds door.key\n"},
        {"/c", "'credential:'",
         "home/c.yaml:1:6: key: found 'credential:', expected credential:NAME with the name of a credential, "
         "without / and :\n"},
        {"/c", "credential:../door.key",
         "home/c.yaml:1:6: key: found 'credential:../door.key', expected credential:NAME with the name of a "
         "credential, without / and :\n"},
        {"/c", "credential:..",
         "home/c.yaml:1:6: key: found 'credential:..', expected credential:NAME with the name of a "
         "credential, "
         "without / and :\n"},
        {"/c", "credential:a:b",
         "home/c.yaml:1:6: key: found 'credential:a:b', expected credential:NAME with the name of a "
         "credential, "
         "without / and :\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_config *c;
        struct buf errors = {0};
        unsetenv("CREDENTIALS_DIRECTORY");
        if (rows[i].directory != NULL)
            setenv("CREDENTIALS_DIRECTORY", rows[i].directory, 1);
        assert_string_equal(key_of(rows[i].value, &c, &errors), rows[i].expected);
        client_config_free(c);
        buf_free(&errors);
    }
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_serve(void **state)
{
    (void)state;
    struct config *c = load_good(FILES "good/serve.yaml");
    const struct config_route *plain = &c->routes.v[0], *tls = &c->routes.v[1];
    assert_int_equal(plain->action, CONFIG_SERVE);
    assert_string_equal(config_action_name(plain->action), "serve");
    assert_int_equal(plain->serve.n, 2);
    assert_string_equal(plain->serve.v[0].text, "challenges");
    assert_int_equal(plain->redirect_port, 8443);
    assert_true(config_route_is_plain(c, plain) && !config_route_ends_tls(c, plain));
    assert_int_equal(tls->redirect_port, 443);
    assert_true(!config_route_is_plain(c, tls) && config_route_ends_tls(c, tls));
    assert_int_equal(tls->clients.mode, CONFIG_CLIENTS_OPTIONAL);
    assert_int_equal(c->ca->login.renewable, 8 * 3600 * NSEC_PER_SEC);
    assert_null(c->ca->passphrase_file.text);
    assert_int_equal(c->ca->agents->lifetime, 12 * 3600 * NSEC_PER_SEC);
    assert_int_equal(c->ca->agents->per_name, 4);
    assert_int_equal(c->ca->agents->per_hour, 1000);
    const struct config_ca_acme *acme = c->ca->acme;
    assert_string_equal(acme->url.text, "https://ca.example.com");
    assert_int_equal(acme->challenges.n, 2);
    assert_int_equal(acme->deny.n, 2);
    assert_int_equal(acme->http_port, 80);
    assert_int_equal(acme->profiles.v[1].kind, CONFIG_ACME_CLIENT);
    assert_int_equal(acme->profiles.v[1].lifetime, 7 * 86400 * NSEC_PER_SEC);
    assert_true(acme->rules.v[0].trusted && !acme->rules.v[1].trusted);
    assert_string_equal(acme->rules.v[0].groups.v[0].text, "devices");
    assert_int_equal(acme->limits.failures, 10);
    assert_int_equal(acme->limits.accounts, 100000);
    assert_int_equal(c->limits.requests, 1024);
    assert_int_equal(c->limits.request_timeout, 5 * NSEC_PER_SEC);
    assert_int_equal(c->limits.keep_alive_timeout, 60 * NSEC_PER_SEC);
    config_free(c);
}

/* Names of CAs and URLs, and the backup among them or behind them. */
static void test_obtained(void **state)
{
    (void)state;
    struct config *c = load_good(FILES "good/obtained.yaml");
    const struct config_acme *both = c->certificates.v[0].acme, *behind = c->certificates.v[1].acme;
    const struct config_acme *demand = c->certificates.v[2].on_demand;
    assert_int_equal(both->from.n, 2);
    assert_string_equal(both->from.v[0].profile.text, "shortlived");
    assert_string_equal(both->from.v[1].ca_file.text, FILES "good/inside.pem");
    assert_string_equal(both->from.v[1].eab->kid.text, "door");
    assert_int_equal(both->backup_from, 1);
    assert_int_equal(both->key_kind, KEY_P256);
    assert_int_equal(both->order_timeout, 15 * 60 * NSEC_PER_SEC);
    assert_int_equal(behind->from.n, 2);
    assert_null(behind->from.v[0].name.text);
    assert_string_equal(behind->from.v[0].url.text, "https://acme.example.org/directory");
    assert_string_equal(behind->from.v[1].name.text, "inside");
    assert_int_equal(behind->backup_from, 1);
    assert_int_equal(behind->key_kind, KEY_RSA2048);
    assert_null(demand->from.v[0].profile.text);
    assert_string_equal(demand->from.v[demand->backup_from].url.text, "https://acme.example.org/directory");
    assert_int_equal(demand->orders_at_once, 8);
    assert_int_equal(demand->unused_after, INT64_C(90) * 86400 * NSEC_PER_SEC);
    assert_int_equal(demand->dns->hook_timeout, 600 * NSEC_PER_SEC);
    assert_int_equal(c->limits.answer_timeout, 60 * NSEC_PER_SEC);
    assert_int_equal(c->limits.certificate_orders, 4);
    config_free(c);
}

static uint64_t content_of_ca(const char *ca)
{
    struct buf text = {0}, errors = {0};
    assert_true(buf_printf(&text,
                           "listeners: [{address: '127.0.0.1:443'}]\n"
                           "routes: [{name: a, pass: {to: 'app:1'}}]\n%s",
                           ca));
    struct config *c = config_parse("x.yaml", text.data, text.len, &errors);
    assert_string_equal(buf_text(&errors), "");
    assert_non_null(c);
    uint64_t content = c->ca->head.content;
    config_free(c);
    buf_free(&text);
    buf_free(&errors);
    return content;
}

/* A section's digest is that of its values, however they are written and wherever they stand. */
static void test_content(void **state)
{
    static const char *const others[] = {
        "ca: {directory: other}\n",
        "ca: {directory: ca, crl_lifetime: 6d}\n",
        "ca: {directory: ca, ocsp_lifetime: 7d}\n",
        "ca: {directory: ca, passphrase_file: word}\n",
        "ca: {directory: ca, login: {renewable: 1h}}\n",
        "ca: {directory: ca, acme: {url: 'https://ca.example.com'}}\n",
        "ca: {directory: ca, acme: {url: 'https://ca.example.com', challenges: [http-01]}}\n",
        "ca: {directory: ca, acme: {url: 'https://ca.example.com', rules: [{names: [a.test]}]}}\n",
        ("ca: {directory: ca, acme: {url: 'https://ca.example.com', rules: [{names: [a.test]}, {groups: "
         "[a]}]}}\n"),
    };
    uint64_t seen[ARRAY_LEN(others)], plain = content_of_ca("ca: {directory: ca}\n");
    (void)state;
    assert_int_equal(content_of_ca("# elsewhere\nca:\n  crl_lifetime: 7d\n  directory: \"ca\"\n"), plain);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        seen[i] = content_of_ca(others[i]);
        assert_int_equal(content_of_ca(others[i]), seen[i]);
        assert_int_not_equal(seen[i], plain);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(seen[i], seen[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_routes),
        cmocka_unit_test(test_inherited),   cmocka_unit_test(test_policy),
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_positions),
        cmocka_unit_test(test_no_file),     cmocka_unit_test(test_huge),
        cmocka_unit_test(test_many_routes), cmocka_unit_test(test_client),
        cmocka_unit_test(test_expose),      cmocka_unit_test(test_man),
        cmocka_unit_test(test_secret),      cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_serve),       cmocka_unit_test(test_obtained),
        cmocka_unit_test(test_backend_tls), cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
