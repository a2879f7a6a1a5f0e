/* SPDX-License-Identifier: Apache-2.0 */
/* Who makes a source of certificates out of a configuration: the keeper, which stands above this folder. It
 * lives as long as the door. */
#ifndef CARDEA_SESSION_PROVIDER_H
#define CARDEA_SESSION_PROVIDER_H

struct cert;
struct cert_source;
struct config;
struct err;

struct cert_provider {
    /* The source for the entries of `certificates` that are looked up; called where there is one. `config`
     * lives as long as the snapshot that holds the source, and perhaps not as long as the source. The caller
     * owns a reference. NULL with `err`. Control thread. */
    struct cert_source *(*source)(struct cert_provider *provider, const struct config *config,
                                  struct err *err);
    /* A configuration's own certificates have been loaded, in the order of config->certificates (NULL: it is
     * looked up): who keeps staples sets theirs. All is borrowed for the call. May be NULL. Control thread.
     */
    void (*loaded)(struct cert_provider *provider, const struct config *config, struct cert *const *certs);
};

#endif
