/* SPDX-License-Identifier: Apache-2.0 */
/* An ACME server's parameters out of the configuration, as copies of their own: configurations come and go.
 */
#ifndef CARDEA_ACME_SETTINGS_H
#define CARDEA_ACME_SETTINGS_H

#include "acme/acme_server.h"
#include "net/addr.h"

struct config_ca;
struct config_network;

struct acme_settings {
    struct acme_server_params params; /* without issuer and eab */
    char *eab_file;                   /* or NULL */
    char *dns;                        /* or NULL */
    struct config_network *deny;
    size_t deny_len;
    uint16_t http_port, tls_port;
    uint16_t looks, looks_per_target; /* see struct acme_validator_params */
    /* What params point at. */
    char *url, *path, *terms, *website, *caa;
    struct acme_profile *profiles;
    struct acme_rule *rules;
    char **texts; /* of profiles and rules */
    size_t texts_len, texts_cap;
    const char ***lists;
    size_t lists_len;
};

/* Of a CA whose `acme` is there. */
struct acme_settings *acme_settings_of(const struct config_ca *ca);
void acme_settings_free(struct acme_settings *s);

/* May that address be looked at? Not one of a network that is denied, nor one that a translator or a tunnel
 * leads into it, nor the unspecified one. `settings` is a struct acme_settings. */
bool acme_settings_allow(void *settings, const struct net_addr *address);

/* The key of external account binding of that id, an acme_eab_fn: its file is read anew each time, so that a
 * device can be added while the door runs. */
bool acme_settings_eab(void *settings, struct str id, struct buf *ret_secret);

#endif
