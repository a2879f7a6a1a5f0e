/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keys.h"

#include "base/clock.h"
#include "base/offer_kind.h"
#include "config/value.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Names that keys take. */

const struct schema_name keys_alerts[] = {
#define X(NAME, name, code) {#name, code},
#include "tables/alerts.def"
#undef X
    {NULL, 0},
};

const struct schema_name keys_groups[] = {
#define X(name, code, hybrid, remark) {name, code},
#include "tables/groups.def"
#undef X
    {NULL, 0},
};

const struct schema_name keys_ciphers[] = {
#define X(name, code) {name, code},
#include "tables/ciphers.def"
#undef X
    {NULL, 0},
};

static const struct schema_name tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3}, {NULL, 0}};
static const struct schema_name tls_pqs[] = {
#define PQ(NAME, word) {word, TLS_PQ_##NAME},
#include "tables/tls_pq.def"
#undef PQ
    {NULL, 0},
};
static const struct schema_name effects[] = {{"allow", CONFIG_ALLOW}, {"deny", CONFIG_DENY}, {NULL, 0}};
static const struct schema_name congestions[] = {{"cubic", CONFIG_CUBIC}, {"bbr", CONFIG_BBR}, {0}};
static const struct schema_name proxy_versions[] = {
    {"v1", CONFIG_SEND_PROXY_V1}, {"v2", CONFIG_SEND_PROXY_V2}, {NULL, 0}};
static const struct schema_name backend_verify[] = {
    {"chain", CONFIG_VERIFY_CHAIN}, {"any", CONFIG_VERIFY_ANY}, {NULL, 0}};
static const struct schema_name proxy_tlvs[] = {{"none", CONFIG_TLV_NONE},
                                                {"alpn", CONFIG_TLV_ALPN},
                                                {"authority", CONFIG_TLV_AUTHORITY},
                                                {"unique_id", CONFIG_TLV_UNIQUE_ID},
                                                {"ssl", CONFIG_TLV_SSL},
                                                {"certificate", CONFIG_TLV_CERTIFICATE},
                                                {NULL, 0}};
static const struct schema_name user_facts[] = {{"cn", CONFIG_USER_CN},
                                                {"dns", CONFIG_USER_DNS},
                                                {"uri", CONFIG_USER_URI},
                                                {"email", CONFIG_USER_EMAIL},
                                                {NULL, 0}};
static const struct schema_name transports[] = {
#define TRANSPORT(NAME, word) {word, TRANSPORT_##NAME},
#include "tables/transports.def"
#undef TRANSPORT
    {NULL, 0},
};
static const struct schema_name offer_kinds[] = {
#define KIND(NAME, word) {word, OFFER_##NAME},
#include "tables/offer_kinds.def"
#undef KIND
    {NULL, 0},
};
static const struct schema_name offer_protos[] = {
    {"tcp", CONFIG_OFFER_TCP}, {"udp", CONFIG_OFFER_UDP}, {NULL, 0}};
static const struct schema_name acme_kinds[] = {
    {"server", CONFIG_ACME_SERVER}, {"client", CONFIG_ACME_CLIENT}, {"agent", CONFIG_ACME_AGENT}, {NULL, 0}};
enum acme_challenge_row {
#define CHALLENGE(NAME, word, wildcard, ip) CHALLENGE_##NAME,
#include "tables/acme_challenges.def"
#undef CHALLENGE
};
static const struct schema_name acme_challenges[] = {
#define CHALLENGE(NAME, word, wildcard, ip) {word, CHALLENGE_##NAME},
#include "tables/acme_challenges.def"
#undef CHALLENGE
    {NULL, 0}};
static const struct schema_name clients_modes[] = {
    {"required", CONFIG_CLIENTS_REQUIRED}, {"optional", CONFIG_CLIENTS_OPTIONAL}, {NULL, 0}};
static const struct schema_name clients_expired[] = {
    {"keep", CONFIG_EXPIRED_KEEP}, {"close", CONFIG_EXPIRED_CLOSE}, {NULL, 0}};
static const struct schema_name first_bytes[] = {
    {"ssh", CONFIG_FIRST_SSH},   {"http", CONFIG_FIRST_HTTP}, {"postgresql", CONFIG_FIRST_POSTGRESQL},
    {"ldap", CONFIG_FIRST_LDAP}, {"xmpp", CONFIG_FIRST_XMPP}, {NULL, 0}};

/* The vocabulary of the table. */

#define NONE NULL
#define REQUIRED SCHEMA_REQUIRED
#define CHOICE SCHEMA_CHOICE
#define INHERIT SCHEMA_INHERIT

#define TEXT .type = &value_text
#define NAME .type = &value_name
#define PATH .type = &value_path
#define OUTPUT .type = &value_output
#define ECH_SETTING .type = &value_ech_setting
#define BOOL .type = &value_bool
#define SNI .type = &value_sni
#define HOST_PATTERN .type = &value_host_pattern
#define HOST .type = &value_host
#define CERTIFIED .type = &value_certified
#define URL .type = &value_url
#define ACME_CA .type = &value_acme_ca
#define ACME_BACKUP .type = &value_acme_backup
#define KEY_KIND .type = &value_key_kind
#define ASK .type = &value_ask
#define COMMAND .type = &value_command_line
#define ALPN .type = &value_alpn
#define ALPN_PATTERN .type = &value_alpn_pattern
#define LISTEN .type = &value_listen
#define LISTENER .type = &value_listener
#define MODE .type = &value_mode
#define SERVICE .type = &value_service
#define BACKEND .type = &value_backend
#define DOOR .type = &value_door
#define URI .type = &value_uri
#define PIN .type = &value_pin
#define NETWORK .type = &value_network
#define INTEGER(lo, hi) .type = &value_integer, .min = (lo), .max = (hi)
#define SIZE(lo, hi) .type = &value_size, .min = (lo), .max = (hi)
#define DURATION(lo, hi) .type = &value_duration, .min = (lo), .max = (hi)
#define ENUM(list) .type = &value_enum, .names = (list)
#define LIST(item) item, .list = true
#define POINTER(rows) .section = &keys_##rows
#define EMBED(rows) .section = &keys_##rows, .embedded = true
#define LIST_OF(rows) .section = &keys_##rows, .list = true

/* A section becomes a schema with its array of rows; its first and last row open and close the braces. */
/* clang-format off */
#define SECTION(rows, tag, what) \
    const struct schema keys_##rows = {sizeof(struct tag), what, (const struct schema_key[]){
#define KEY(tag, key, flag, kind, preset, text, sample) \
    {.name = #key, .flags = (flag), .offset = offsetof(struct tag, key), \
     .size = sizeof(((struct tag *)0)->key), .fallback = (preset), .help = text, .example = (sample), kind},
#define END_SECTION {.name = NULL}}};
#include "tables/config.def"
