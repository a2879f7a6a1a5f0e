/* SPDX-License-Identifier: Apache-2.0 */
/* What the door is told to do: a YAML file becomes one frozen `struct config`. Every key is a row of
 * tables/config.def; these structs are where the rows put their values.
 *
 * Durations are nanoseconds, sizes are bytes, positions count from 1. All memory belongs to the config and
 * lives until config_free(). A config that was handed out is complete: defaults are filled in, what a route
 * inherits is filled in, and every name it refers to exists. */
#ifndef CARDEA_CONFIG_CONFIG_H
#define CARDEA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doh.h"
#include "base/key_kind.h"
#include "base/str.h"
#include "base/tls_group.h"
#include "base/transport.h"

struct buf;
struct err;

/* Where something stands in the file; line 0: it does not (a default). */
struct config_pos {
    uint32_t line;
    uint32_t column;
};

/* Every section begins with this. `set` has bit i when row i of its table was given in the file. */
struct config_head {
    struct config_pos at;
    uint64_t set;
    bool wrong;       /* something in it could not be read, and is as if it were left out */
    uint64_t content; /* a digest of its values, defaults included: another when something was changed */
};

/* One text and where it stands. `text` is NULL when the key was left out and has no default.
 * Paths are already relative to the working directory (a relative one in the file was joined to
 * the file's directory). */
struct config_text {
    const char *text;
    struct config_pos at;
};

struct config_texts {
    struct config_text *v;
    size_t n;
};

/* Values of an enum or code points, in the order of the file. */
struct config_codes {
    int *v;
    size_t n;
};

/* Which of the fields of an address are meant. */
enum config_place {
    CONFIG_AT_IP,       /* host and port */
    CONFIG_AT_UNIX,     /* path */
    CONFIG_AT_SYSTEMD,  /* name */
    CONFIG_AT_STANDARD, /* none: standard input and output */
    CONFIG_AT_PROGRAM,  /* program */
};

/* HOST:PORT, [V6]:PORT, *:PORT, :PORT, unix:PATH, and where the key takes it systemd:NAME, '-' or
 * exec:PROGRAM ARGS. Syntax only: no name is looked up here. */
struct config_address {
    struct config_text text; /* as in the file; a relative unix: path is joined */
    enum config_place place;
    uint16_t port;
    const char *host; /* without brackets; "" is any address; NULL where it is no IP address */
    const char *path; /* of a unix socket, joined; else NULL */
    const char *name; /* of sockets that systemd hands over; else NULL */
    char **program;   /* its path, joined, and its arguments, NULL after the last; else NULL */
};

struct config_addresses {
    struct config_address *v;
    size_t n;
};

/* An address prefix; the bits after `prefix` are zero. A lone address has prefix 32 or 128. AF_UNIX has
 * neither: all peers on unix sockets. */
struct config_network {
    struct config_pos at;
    int family;       /* AF_INET, AF_INET6 or AF_UNIX */
    uint8_t addr[16]; /* network order; the first 4 bytes for AF_INET */
    uint8_t prefix;
};

struct config_networks {
    struct config_network *v;
    size_t n;
};

/* proxy_protocol: a PROXY header is read from these peers, and is then mandatory. */
struct config_proxy {
    struct config_head head;
    struct config_networks from;
};

struct config_listener {
    struct config_head head;
    struct config_text name; /* default: the text of its address */
    struct config_address address;
    unsigned mode;             /* of a unix socket; 0: left out, it is CONFIG_SOCKET_MODE */
    bool quic;                 /* UDP too, where there is a tunnel */
    struct config_text speaks; /* CONFIG_SPEAKS_TLS or _PLAIN, or a protocol whose STARTTLS it takes */
    bool plaintext;            /* ... also from clients that go on without TLS */
    struct config_proxy *proxy_protocol; /* NULL: never read */
};

#define CONFIG_LISTENERS_MAX 256
#define CONFIG_SOCKET_MODE 0660u

struct config_listeners {
    struct config_listener *v;
    size_t n;
};

/* The wire values (RFC 8446, 4.2.1), so that they compare. */
enum config_tls_version {
    CONFIG_TLS_1_2 = 0x0303,
    CONFIG_TLS_1_3 = 0x0304,
};

struct config_tls {
    struct config_head head;
    enum config_tls_version min_version;
    enum config_tls_version max_version;
    struct config_codes groups;  /* IANA code points, most wanted first (tables/groups.def) */
    enum tls_pq pq;              /* which of these groups are used */
    struct config_codes ciphers; /* the same (tables/ciphers.def); n == 0: all */
    bool tickets;
    int64_t ticket_lifetime;
};

/* How a name is proven to a CA: rows of tables/acme_challenges.def. */
enum config_challenge {
    CONFIG_BY_HTTP,
    CONFIG_BY_TLS_ALPN,
    CONFIG_BY_DNS,
};

struct config_acme_eab {
    struct config_head head;
    struct config_text kid;
    struct config_text key_file;
};

struct config_dns {
    struct config_head head;
    char **hook; /* its words, to a NULL; NULL: by `server` */
    int64_t hook_timeout;
    struct config_address server;
    struct config_text zone; /* this and what follows: of `server` */
    struct config_text key;
    struct config_text secret_file;
    int64_t settle;
};

/* Who is asked: a URL, or a program. `text` NULL: nobody. */
struct config_ask {
    struct config_text text;
    char **program; /* its words, to a NULL; NULL: `text` is a URL */
};

/* A CA that certificates are obtained from. What is NULL is not asked for. */
struct config_acme_ca {
    struct config_head head;
    struct config_text name; /* NULL: it stood by its URL alone where it is used */
    struct config_text url;
    struct config_text ca_file;
    struct config_text email;
    struct config_acme_eab *eab;
    struct config_text profile;
};

struct config_acme_cas {
    struct config_acme_ca *v;
    size_t n;
};

/* `ca.text` NULL: the second of the CAs. */
struct config_acme_backup {
    bool wanted;
    struct config_text ca;
};

#define CONFIG_NO_BACKUP SIZE_MAX

/* Both `acme` and `on_demand`; of the latter alone is what follows `backup_from`. */
struct config_acme {
    struct config_head head;
    struct config_texts names;
    struct config_texts ca; /* as in the file: URLs, and names of `acme_cas` */
    enum key_kind key_kind;
    struct config_codes challenges; /* enum config_challenge */
    struct config_dns *dns;         /* NULL: none */
    struct config_acme_backup backup;
    int64_t order_timeout;
    int64_t renew_before; /* 0: by its life */
    bool must_staple;
    /* Filled in: the CAs, the most wanted first; behind them that of the backup, where it is
     * none of these. */
    struct config_acme_cas from;
    size_t backup_from; /* which of `from` a backup comes from, or CONFIG_NO_BACKUP */
    struct config_ask ask;
    int64_t ask_timeout;
    struct config_text names_file;
    int64_t refused_for, failed_for;
    uint64_t orders_per_minute, asks_per_minute, asks_per_source;
    size_t asks_at_once, orders_at_once;
    int64_t unused_after;
};

/* The files of what stands by for a certificate. */
struct config_backup {
    struct config_head head;
    struct config_text certificate;
    struct config_text key;
};

struct config_certificate {
    struct config_head head;
    struct config_text name;        /* label that routes use; NULL: none */
    struct config_text certificate; /* PEM chain, leaf first; NULL: it is looked up by name */
    struct config_text key;
    struct config_backup *backup;  /* NULL: none */
    struct config_text directory;  /* where it is looked up */
    struct config_acme *acme;      /* how it is obtained, or NULL */
    struct config_acme *on_demand; /* how such are obtained when they are asked for, or NULL */
    bool staple;                   /* OCSP, of files */
    struct config_texts names;     /* lower case; instead of the SANs; n == 0: the SANs */
};

struct config_certificates {
    struct config_certificate *v;
    size_t n;
};

/* Is it looked up when its name is asked for: in a folder, or among what was obtained? */
static inline bool config_certificate_is_source(const struct config_certificate *c)
{
    return c->certificate.text == NULL;
}

struct config_trust {
    struct config_head head;
    struct config_text name;
    struct config_texts ca;
    struct config_texts crl;
};

struct config_trusts {
    struct config_trust *v;
    size_t n;
};

/* Active probing of a backend. */
struct config_health {
    struct config_head head;
    int64_t interval;
    int64_t timeout;
    size_t rise;
    size_t fall;
};

#define CONFIG_TRUST_SYSTEM "system"

#define CONFIG_PIN_LEN 32 /* SHA-256 */

struct config_pins {
    uint8_t (*v)[CONFIG_PIN_LEN];
    size_t n;
};

enum config_backend_verify { CONFIG_VERIFY_CHAIN, CONFIG_VERIFY_ANY };

/* How to speak TLS to a backend. Versions and groups that it leaves out are filled in from the door's. */
/* A resolver that is asked by DNS over HTTPS. */
struct config_doh {
    struct config_head head;
    struct config_text url;
    struct config_text ca; /* NULL: the system's */
    struct config_text proxy;
    struct config_text configs;
};

/* The same for who asks it. Borrowed. */
static inline struct doh_resolver config_doh_resolver(const struct config_doh *d)
{
    return (struct doh_resolver){
        .url = d->url.text, .ca = d->ca.text, .proxy = d->proxy.text, .configs = d->configs.text};
}

struct config_backend_tls {
    struct config_head head;
    struct config_text name;   /* what its certificate must name; NULL: the host of the address */
    struct config_text uri;    /* likewise; NULL: none */
    struct config_pins pin;    /* n == 0: any key */
    struct config_text issuer; /* NULL: any */
    enum config_backend_verify verify;
    struct config_text trust; /* a bundle's name, or CONFIG_TRUST_SYSTEM; NULL: no chain is judged */
    enum config_tls_version min_version;
    enum config_tls_version max_version;
    struct config_codes groups;
    enum tls_pq pq;
    struct config_text certificate; /* ours, with key; NULL: none */
    struct config_text key;
    struct config_texts alpn;
    struct config_text ech;      /* base/ech_setting.h; NULL: GREASE */
    struct config_text starttls; /* a protocol's name; NULL: TLS begins at once */
    bool resume;
    size_t spares;
    int64_t spare_idle;
};

enum config_send_proxy {
    CONFIG_SEND_PROXY_NONE,
    CONFIG_SEND_PROXY_V1,
    CONFIG_SEND_PROXY_V2,
};

/* The TLVs of a PROXY header of version 2, as bits. */
enum config_tlv {
    CONFIG_TLV_NONE = 0,
    CONFIG_TLV_ALPN = 1,
    CONFIG_TLV_AUTHORITY = 2,
    CONFIG_TLV_UNIQUE_ID = 4,
    CONFIG_TLV_SSL = 8,
    CONFIG_TLV_CERTIFICATE = 16, /* within ssl */
};

/* What a door that writes into heads agrees on with clients. */
#define CONFIG_HEADERS_ALPN "http/1.1"

/* The fact of an identity that is a user's name. */
enum config_user_fact {
    CONFIG_USER_CN,
    CONFIG_USER_DNS,
    CONFIG_USER_URI,
    CONFIG_USER_EMAIL,
};

/* What the backend is told of the client. */
struct config_hand_on {
    struct config_head head;
    enum config_send_proxy proxy;
    struct config_codes tlvs; /* enum config_tlv */
    bool headers;
    struct config_text protocol; /* NULL: none */
    bool chain;
    enum config_user_fact user;
    struct config_text user_pattern; /* with one '*'; text NULL: all of the fact */
};

struct config_backend {
    struct config_head head;
    struct config_addresses to;
    struct config_health *health;   /* NULL: passive only */
    struct config_texts alpn;       /* terminate: what the door selects from, in its order; of the route */
    struct config_backend_tls *tls; /* terminate, forward: NULL: plain */
};

struct config_expose {
    struct config_head head;
};

struct config_tunnel {
    struct config_head head;
};

enum config_clients_mode {
    CONFIG_CLIENTS_NONE, /* only where a route has no `clients` */
    CONFIG_CLIENTS_OPTIONAL,
    CONFIG_CLIENTS_REQUIRED,
};

/* What becomes of a connection that stands when its client's certificate runs out. */
enum config_clients_expired { CONFIG_EXPIRED_KEEP, CONFIG_EXPIRED_CLOSE };

struct config_clients {
    struct config_head head;
    enum config_clients_mode mode;
    struct config_text trust;
    enum config_clients_expired expired;
    int64_t grace; /* with CONFIG_EXPIRED_CLOSE */
};

/* Of one route. Timeouts that it leaves out are filled in from the door's. */
struct config_route_limits {
    struct config_head head;
    size_t connections; /* 0: no cap of its own */
    int64_t dial_timeout;
    int64_t idle_timeout;
    int64_t total_timeout;
};

enum config_first_bytes {
    CONFIG_FIRST_SSH,
    CONFIG_FIRST_HTTP,
    CONFIG_FIRST_POSTGRESQL,
    CONFIG_FIRST_LDAP,
    CONFIG_FIRST_XMPP,
};

enum config_action {
    CONFIG_PASS,
    CONFIG_TERMINATE,
    CONFIG_TUNNEL,
    CONFIG_EXPOSE,
    CONFIG_FORWARD,
    CONFIG_SERVE,
    CONFIG_REJECT,
};

struct config_route {
    struct config_head head;
    struct config_text name;
    struct config_texts listeners;   /* names; n == 0: all */
    struct config_texts sni;         /* lower case; n == 0 and no sni_file: any */
    struct config_text sni_file;     /* path; its lines are not read here */
    struct config_texts alpn;        /* trailing `*`: prefix; n == 0: any; a tunnel's default is filled in */
    struct config_codes first_bytes; /* enum config_first_bytes */
    enum config_action action;       /* says which of the next seven is meant */
    struct config_backend *pass;
    struct config_backend *terminate;
    struct config_tunnel *tunnel;
    struct config_expose *expose;
    struct config_backend *forward;
    struct config_texts serve; /* names of services */
    int reject;                /* alert code (RFC 8446, 6; tables/alerts.def) */
    size_t redirect_port;
    struct config_hand_on hand_on;
    struct config_clients clients;    /* mode CONFIG_CLIENTS_NONE where left out */
    struct config_texts certificates; /* labels; n == 0: all */
    struct config_tls tls; /* complete, the door's where left out; head.set == 0: all of it is the door's */
    struct config_route_limits limits;
};

struct config_routes {
    struct config_route *v;
    size_t n;
};

/* Whom a policy row speaks of: every key that is given must match; within a list any. `*` globs. */
struct config_who {
    struct config_head head;
    struct config_texts name; /* the CN */
    struct config_texts dns;
    struct config_texts uri;
    struct config_texts email;
    struct config_texts issuer;
    struct config_texts group;
    bool proven;
    bool any;
};

enum config_effect {
    CONFIG_ALLOW,
    CONFIG_DENY,
};

struct config_policy_row {
    struct config_head head;
    struct config_text name;
    enum config_effect effect;
    struct config_who who;
    struct config_texts routes;  /* names; n == 0: any */
    struct config_texts targets; /* as in the file: policy_target_check(); n == 0: none (deny rows: all) */
};

struct config_policy {
    struct config_policy_row *v;
    size_t n;
};

struct config_limits {
    struct config_head head;
    size_t connections;
    size_t per_source;
    size_t programs; /* of exec: backends */
    int64_t hello_timeout;
    int64_t handshake_timeout;
    int64_t ready_timeout; /* 0: handshake_timeout is all there is */
    int64_t dial_timeout;
    size_t requests;
    int64_t request_timeout;
    int64_t answer_timeout;
    int64_t keep_alive_timeout;
    int64_t idle_timeout; /* 0: never */
    int64_t udp_idle_timeout;
    int64_t total_timeout; /* 0: never */
    int64_t drain_timeout;
    size_t certificates;
    size_t certificate_memory;
    int64_t certificate_timeout;
    size_t certificate_orders;
    int64_t revocation_check;
    size_t staples;
    size_t crl_size;
    size_t hello_size;
    size_t reserved_fds;
};

enum config_congestion {
    CONFIG_CUBIC,
    CONFIG_BBR,
};

struct config_quic {
    struct config_head head;
    enum config_congestion congestion;
    int64_t idle_timeout;
    size_t streams;
    size_t stream_window;
    size_t window;
    size_t send_buffer;
    size_t connection_buffer;
    size_t retry_above;
};

struct config_agents {
    struct config_head head;
    int64_t grace;
    size_t connections; /* for each name; 0: no limit */
    size_t bandwidth;   /* bytes a second for each name; 0: no limit */
    size_t flows;       /* at the UDP port of an offer */
    size_t answer_factor;
};

struct config_http2 {
    struct config_head head;
    int64_t idle_timeout;
    size_t streams;
    size_t stream_window;
    size_t window;
};

struct config_ech_publish {
    struct config_head head;
    struct config_texts names;
    struct config_dns *dns;
    struct config_texts alpn;
    int64_t ttl;
};

struct config_ech {
    struct config_head head;
    struct config_text public_name;
    struct config_text keys; /* NULL: config_ech_folder() */
    int64_t rotate;
    int64_t keep;
    size_t longest_name;
    struct config_ech_publish *publish; /* NULL: the records are somebody else's business */
};

struct config_audit {
    struct config_head head;
    struct config_text file; /* "-": standard output */
};

struct config_admin {
    struct config_head head;
    bool enabled;
    struct config_text socket;     /* path; NULL: the default place, which depends on the environment */
    struct config_text whois;      /* path; NULL: none */
    struct config_address metrics; /* text.text NULL: none */
};

struct config_ca_login {
    struct config_head head;
    int64_t renewable;
};

enum config_acme_kind { CONFIG_ACME_SERVER, CONFIG_ACME_CLIENT, CONFIG_ACME_AGENT };

struct config_acme_profile {
    struct config_head head;
    struct config_text name;
    enum config_acme_kind kind;
    int64_t lifetime;
    struct config_text text;
};
struct config_acme_profiles {
    struct config_acme_profile *v;
    size_t n;
};

struct config_acme_rule {
    struct config_head head;
    struct config_texts accounts, profiles, names; /* n == 0: any */
    struct config_texts groups;
    bool trusted;
};
struct config_acme_rules {
    struct config_acme_rule *v;
    size_t n;
};

struct config_acme_limits {
    struct config_head head;
    size_t accounts, accounts_per_source, orders, orders_per_account, failures, names, certificates;
    size_t waiting_per_account, waiting_per_source, looks, looks_per_target;
    int64_t pending, idle;
};

struct config_ca_acme {
    struct config_head head;
    struct config_text url;
    struct config_codes challenges; /* rows of tables/acme_challenges.def */
    struct config_text resolvers;   /* NULL: the machine's */
    struct config_networks deny;
    size_t http_port, tls_port;
    struct config_acme_profiles profiles; /* n == 0: the usual ones */
    struct config_acme_rules rules;
    struct config_text eab_file; /* NULL: none */
    bool eab_required;
    struct config_text terms, website, caa; /* NULL: none */
    struct config_acme_limits limits;
};

/* What agents get for their offers end-to-end. */
struct config_ca_agents {
    struct config_head head;
    int64_t lifetime;
    size_t per_name, per_hour;
};

struct config_ca {
    struct config_head head;
    struct config_text directory;
    struct config_text passphrase_file; /* NULL: none */
    int64_t crl_lifetime;               /* ns, as all durations */
    int64_t ocsp_lifetime;
    struct config_ca_login login;
    struct config_ca_acme *acme;     /* NULL: it is no ACME server */
    struct config_ca_agents *agents; /* NULL: it certifies nothing that agents offer */
};

struct config_store; /* the memory behind it */

#define CONFIG_SPEAKS_TLS "tls"
#define CONFIG_SPEAKS_PLAIN "plain"

struct config_protocol {
    struct config_head head;
    struct config_text name;
    struct config_text file, chat; /* one of them */
};

struct config_protocols {
    struct config_protocol *v;
    size_t n;
};

/* Who sees candidates first. */
struct config_staging {
    struct config_head head;
    struct config_texts listeners;
    struct config_networks networks;
    struct config_pins pins;
};

struct config {
    struct config_head head;
    const char *file;         /* its name, as in error texts */
    struct str text;          /* where it was made from memory: all of it */
    struct config_text state; /* NULL: see config_state_folder() */
    size_t workers;           /* 0: one per CPU */
    struct config_listeners listeners;
    struct config_tls tls;
    struct config_certificates certificates;
    struct config_acme_cas acme_cas;
    struct config_trusts trust;
    struct config_routes routes;
    struct config_protocols protocols;
    struct config_policy policy;
    struct config_limits limits;
    struct config_quic quic;
    struct config_agents agents;
    struct config_http2 http2;
    struct config_audit audit;
    struct config_admin admin;
    struct config_ech *ech;         /* NULL: no ClientHello is decrypted */
    struct config_doh *doh;         /* NULL: no resolver is asked for ECHConfigs */
    struct config_ca *ca;           /* NULL: none */
    struct config_staging *staging; /* NULL: nobody sees candidates */
    struct config_store *store;
};

/* The client's own file. Everything is optional. */
struct client_config {
    struct config_head head;
    const char *file;
    struct config_address door;
    struct config_text cert;
    struct config_text key;
    struct config_text ca;
    struct config_text service_ca;
    struct config_text name;
    enum transport transport;
    enum tls_pq pq;
    struct config_text ech; /* base/ech_setting.h; NULL: nothing is said */
    struct config_text doh; /* the URL of a resolver (RFC 8484) */
    struct config_text doh_ca;
    struct config_text doh_proxy;
    struct config_text doh_configs;
    bool share;
    struct config_store *store;
};

enum config_offer_proto {
    CONFIG_OFFER_TCP,
    CONFIG_OFFER_UDP,
};

/* A service that an agent offers at a door. What goes with what is checked by `cardea expose`. */
struct config_service {
    struct config_head head;
    struct config_text name;
    struct config_address to;
    int kind;    /* enum offer_kind */
    size_t port; /* 0: visitors come by name */
    enum config_offer_proto proto;
    enum config_send_proxy proxy;
    int64_t health; /* 0: not probed */
    int64_t dial_timeout;
    size_t connections;
    size_t bandwidth;               /* bytes per second; 0: no bound */
    struct config_text certificate; /* end-to-end */
    struct config_text key;
    struct config_text also_cert, also_key; /* NULL: whom the connection is opened as */
    struct config_text clients;
    struct config_texts allow;
    bool anyone;
};

struct config_services {
    struct config_service *v;
    size_t n;
};

/* The agent's file. How to reach the door may be told elsewhere. */
struct expose_config {
    struct config_head head;
    const char *file;
    struct config_address door;
    struct config_text cert;
    struct config_text key;
    struct config_text ca;
    struct config_text name;
    enum transport transport;
    enum tls_pq pq;
    struct config_text ech; /* as in client_config */
    struct config_text doh;
    struct config_text doh_ca;
    struct config_text doh_proxy;
    struct config_text doh_configs;
    struct config_text state; /* NULL: not said */
    struct config_services services;
    struct config_store *store;
};

/* Read, check and complete the file. On failure returns NULL and appends to `errors` (which may be NULL) what
 * is wrong: at most 20 lines, each ending in a newline and beginning with `FILE:LINE:COLUMN: ` (`FILE: ` when
 * the file cannot be read at all), and one more that counts the rest. The caller frees `errors` with
 * buf_free(). */
struct config *config_load(const char *path, struct buf *errors);

/* The same from memory: `name` stands for the file in errors and its directory is what relative paths are
 * joined to. */
struct config *config_parse(const char *name, const void *text, size_t len, struct buf *errors);

/* The same configuration once more: from its file, or from the text that it was made from. */
struct config *config_again(const struct config *c, struct buf *errors);

/* What can be read of a file that config_load() has refused, to look for more that is wrong; nothing to serve
 * under: texts may be NULL and lists empty where there are errors, nothing is completed, and names may refer
 * to nothing. NULL when it is not even a section. */
struct config *config_survey(const char *path);

/* NULL is allowed. */
void config_free(struct config *c);

/* The same for the client's file. */
struct client_config *client_config_load(const char *path, struct buf *errors);
struct client_config *client_config_parse(const char *name, const void *text, size_t len, struct buf *errors);
void client_config_free(struct client_config *c);

/* The same for the agent's file. */
struct expose_config *expose_config_load(const char *path, struct buf *errors);
struct expose_config *expose_config_survey(const char *path); /* as config_survey() */
struct expose_config *expose_config_parse(const char *name, const void *text, size_t len, struct buf *errors);
void expose_config_free(struct expose_config *c);

/* For the stages after this one: set `FILE:LINE:COLUMN: ` and the text. Returns -1. */
int config_error(const struct config *c, struct config_pos at, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* By name; NULL when there is none. */
const struct config_trust *config_trust_find(const struct config *c, const char *name);
const struct config_route *config_route_find(const struct config *c, const char *name);

/* Does the route say that it takes connections of that listener? */
bool config_route_names(const struct config_route *r, const char *listener);

/* Does the route take connections without TLS: from a listener that it names, or, where it serves, by their
 * first bytes? */
bool config_route_is_plain(const struct config *c, const struct config_route *r);

/* Does the door end TLS on it? */
bool config_route_ends_tls(const struct config *c, const struct config_route *r);

/* The backends of a route that has some (pass, terminate, forward), or NULL. */
const struct config_backend *config_route_backend(const struct config_route *r);

/* The name of an action ("pass"), of an alert ("unrecognized_name") and of a group ("X25519"), or NULL. */
const char *config_action_name(enum config_action action);
const char *config_alert_name(int code);
const char *config_group_name(int code);
/* Of a cipher suite of tables/ciphers.def, or NULL. */
const char *config_cipher_name(int code);

/* The folder of what must survive a restart: `state`, else the service manager's, else /var/lib/cardea. */
const char *config_state_folder(const struct config *c);

/* Append the KEYS part of the manual page cardea.yaml(5) in mdoc(7): every key, its type, default, bounds and
 * an example, from the same rows that parse it. False when memory is out. */
bool config_man(struct buf *b);

#endif
