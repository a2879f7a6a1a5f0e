/* SPDX-License-Identifier: Apache-2.0 */
/* Who stands above this folder and lives as long as the door. The keeper makes a source of certificates out
 * of a configuration; the CA tells what it has revoked. */
#ifndef CARDEA_SESSION_PROVIDER_H
#define CARDEA_SESSION_PROVIDER_H

struct revoked;
struct cert_source;
struct config;
struct err;
struct standby_pair;

struct cert_provider {
    /* The source for the entries of `certificates` that are looked up; called where there is one. `config`
     * lives as long as the snapshot that holds the source, and perhaps not as long as the source. The caller
     * owns a reference. NULL with `err`. Control thread. */
    struct cert_source *(*source)(struct cert_provider *provider, const struct config *config,
                                  struct err *err);
    /* A configuration's own certificates have been loaded, in the order of config->certificates: who keeps
     * staples sets theirs. All is borrowed for the call. May be NULL. Control thread. */
    void (*loaded)(struct cert_provider *provider, const struct config *config,
                   const struct standby_pair *pairs);
};

/* What the door's own CA, which stands above this folder too, has revoked by now. Borrowed until the next
 * call, and the same while nothing more has been. Control thread. */
struct revocations_provider {
    struct revoked *(*now)(struct revocations_provider *provider);
};

#endif
